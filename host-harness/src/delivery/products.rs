//! Products: whole, by the shop's own id, so a call without an answer is made again. The lane of the
//! product keeps the order of its revisions.

use super::outcome::{Again, End, Letter, about_calls};
use super::thing::ThingWork;
use super::wire::Stop;
use super::{Delivery, millis};
use crate::brevo::errors::{Kind, Problem};
use crate::brevo::products;
use crate::brevo::windows::Family;
use crate::registry::UpsertProduct;
use crate::store::dead_letters::Actor;

impl Delivery {
    pub(super) fn upsert_product(&self, work: &mut ThingWork, product: &UpsertProduct) -> Result<End, Stop> {
        match products::read_upsert(&self.call(&products::upsert(product))?) {
            Ok(()) => Ok(End::Delivered),
            Err(Problem { kind: Kind::Forbidden, .. }) => {
                let until = self.world.now() + millis(self.options.policy.pause);
                let letter = not_activated();
                self.close_family(Family::Products, until, letter.code);
                let again = Again { at: until, code: letter.code, counted: false };
                work.letters.push(letter);
                Ok(End::Again(again))
            }
            Err(problem) => Err(Stop::Problem(problem, Family::Products)),
        }
    }
}

fn not_activated() -> Letter {
    Letter {
        code: "ecommerce-not-activated",
        actor: Actor::Tenant,
        message: "Brevo takes no products for this account; they wait.",
        remedy: "Activate e-commerce at Brevo (Integrations > eCommerce), and check the plan and the key's access; products go on by themselves.",
        about: Some(about_calls(Family::Products)),
    }
}
