//! Declares a profile that is beyond its manifest or against the contract; the settings say how.

use kit::*;

struct Overreach;

impl Connector for Overreach {
    fn configure(settings: Settings) -> Result<Profile, Vec<Problem>> {
        let mut profile = profile();
        match settings.trim_matches('"') {
            "endpoint" => profile.resources[0].endpoint = "admin".into(),
            "slot" => profile.slots[0].name = "root-password".into(),
            "scheme" => profile.surfaces[0].verification = "none".into(),
            "body-cap" => profile.surfaces[0].body_cap = 64 << 20,
            "credential-header" => profile.surfaces[0].headers = vec!["authorization".into()],
            "workspace" => profile.workspace = "w1:contact".into(),
            "answer" => profile.surfaces[0].answer.content_type = "text/plain\r\nx-forged: 1".into(),
            "connector" => profile.connector = "other".into(),
            "schema" => profile.resources[0].schema = "{".into(),
            "silent" => return Err(vec![]),
            "problems" => {
                return Err((0..3)
                    .map(|n| Problem {
                        code: format!("problem-{n}"),
                        path: "a\u{1b}[2Jb".into(),
                        message: "wrong".into(),
                        remedy: "correct it".into(),
                    })
                    .collect());
            }
            _ => {}
        }
        Ok(profile)
    }
}

guest!(Overreach);
