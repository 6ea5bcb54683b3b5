//! Stand-ins for MoEngage and Brevo.
