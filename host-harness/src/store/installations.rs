//! Who is installed: one row for each (tenant, connector, workspace, destination).

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{Digest, StoreError};
use crate::contract::Profile;
use crate::world::Random;

/// A row id of `installation`. Never shown to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstallationId(pub i64);

/// A row id of `destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationId(pub i64);

/// What the configuration and the connector's profile say of an installation.
pub struct NewInstallation<'a> {
    /// Tenant's name.
    pub tenant: &'a str,
    /// Name of the Brevo account in the configuration.
    pub destination: &'a str,
    /// SHA-256 of the component.
    pub component: &'a [u8; 32],
    /// The tenant's settings, secrets replaced by slots.
    pub settings: &'a str,
    /// What `configure` gave for them.
    pub profile: &'a Profile,
}

/// An installed connector.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Row id.
    pub id: InstallationId,
    /// Part of every effect key; the same after a reinstall.
    pub key: Digest,
    /// Tenant's name.
    pub tenant: String,
    /// Connector's name.
    pub connector: String,
    /// The Brevo account.
    pub destination: DestinationId,
    /// Digest of the settings that select source data; cursors are bound to it.
    pub source: Digest,
    /// What the configuration can do.
    pub profile: Profile,
    /// Secret part of the webhook's address.
    pub intake_token: String,
}

/// Creates or refreshes an installation. The webhook's address and the key stay.
pub fn install(
    tx: &Transaction<'_>,
    new: &NewInstallation<'_>,
    random: &dyn Random,
) -> Result<Installation, StoreError> {
    let destination = destination(tx, new.destination)?;
    let profile = new.profile;
    let key = Digest::of(&[
        new.tenant.as_bytes(),
        profile.connector.as_bytes(),
        profile.workspace.as_bytes(),
        new.destination.as_bytes(),
    ]);
    let source = Digest::of(&[profile.source_key.as_bytes()]);
    let settings = Digest::of(&[new.settings.as_bytes()]);
    let json = serde_json::to_string(profile).map_err(|_| StoreError::Unreadable("profile"))?;
    let mut token = [0; 16];
    random.fill(&mut token);
    tx.execute(
        "INSERT INTO installation (key, tenant, connector, workspace, destination, component, settings, source, profile, intake_token)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (key) DO UPDATE SET component = ?6, settings = ?7, source = ?8, profile = ?9",
        params![
            key.0, new.tenant, profile.connector, profile.workspace, destination.0, new.component,
            settings.0, source.0, json, Digest(token).hex(),
        ],
    )?;
    tx.query_row(&format!("{SELECT} WHERE key = ?1"), [key.0], read)?
}

/// Every installation, oldest first.
pub fn all(tx: &Transaction<'_>) -> Result<Vec<Installation>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY id"))?;
    let rows = statement.query_map([], read)?;
    rows.map(|row| row?).collect()
}

/// The row of a Brevo account, where there is one.
pub fn known_destination(tx: &Transaction<'_>, name: &str) -> Result<Option<DestinationId>, StoreError> {
    let key = Digest::of(&[name.as_bytes()]);
    Ok(tx
        .query_row("SELECT id FROM destination WHERE key = ?1", [key.0], |row| row.get(0))
        .optional()?
        .map(DestinationId))
}

/// The row of a Brevo account, by its name in the configuration.
pub fn destination(tx: &Transaction<'_>, name: &str) -> Result<DestinationId, StoreError> {
    let key = Digest::of(&[name.as_bytes()]);
    let found: Option<i64> =
        tx.query_row("SELECT id FROM destination WHERE key = ?1", [key.0], |row| row.get(0)).optional()?;
    if let Some(id) = found {
        return Ok(DestinationId(id));
    }
    tx.execute("INSERT INTO destination (key, name) VALUES (?1, ?2)", params![key.0, name])?;
    Ok(DestinationId(tx.last_insert_rowid()))
}

const SELECT: &str =
    "SELECT id, key, tenant, connector, destination, source, profile, intake_token FROM installation";

fn read(row: &Row<'_>) -> rusqlite::Result<Result<Installation, StoreError>> {
    let (key, source): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(5)?);
    let profile: String = row.get(6)?;
    let (Some(key), Some(source)) = (Digest::from_blob(&key), Digest::from_blob(&source)) else {
        return Ok(Err(StoreError::Unreadable("installation")));
    };
    let Ok(profile) = serde_json::from_str(&profile) else {
        return Ok(Err(StoreError::Unreadable("installation.profile")));
    };
    Ok(Ok(Installation {
        id: InstallationId(row.get(0)?),
        key,
        tenant: row.get(2)?,
        connector: row.get(3)?,
        destination: DestinationId(row.get(4)?),
        source,
        profile,
        intake_token: row.get(7)?,
    }))
}
