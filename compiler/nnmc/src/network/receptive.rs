//! How much of the input a cell sees: receptive fields traced back through convolutions and pools.

use super::{NetId, Pattern, Projection};
use crate::session::Session;

impl Session<'_> {
    /// Height and width of the part of the input that one cell of a population sees, through all that leads to it.
    pub fn field_of(&self, id: NetId, population: usize) -> [usize; 2] {
        self.seen_from(id, population, [1, 1], &mut vec![])
    }

    /// What a patch of a population sees; `path` are the populations on the way, so that a recurrent connection ends it.
    fn seen_from(&self, id: NetId, population: usize, patch: [usize; 2], path: &mut Vec<usize>) -> [usize; 2] {
        let net = self.net(id);
        let mut most = patch;
        path.push(population);
        for p in net.projections.iter().filter(|p| p.target == population) {
            let (sender, image) = self.sender_image(id, p);
            let patch = through(&p.pattern, patch, image);
            let seen = match sender {
                Some(sender) if path.contains(&sender) => continue,
                Some(sender) => self.seen_from(id, sender, patch, path),
                None => patch,
            };
            most = [most[0].max(seen[0]), most[1].max(seen[1])];
        }
        path.pop();
        most
    }

    /// The population that a connection starts from, through functions such as `dropout`, and the extent of its image.
    fn sender_image(&self, id: NetId, p: &Projection) -> (Option<usize>, [usize; 2]) {
        let net = self.net(id);
        let file = &self.modules.get(self.module_of(p.from.scope)).file;
        let names = crate::eval::names_in(file, p.from.expr.id);
        let sender = names.iter().find_map(|n| net.population(n));
        let shape = match sender {
            Some(sender) => net.populations[sender].shape.clone(),
            None => net.inputs.iter().find(|q| names.contains(&q.name)).map(|q| q.shape.clone()).unwrap_or_default(),
        };
        let image = match shape.as_slice() {
            [.., height, width] => [*height, *width],
            [length] => [1, *length],
            [] => [1, 1],
        };
        (sender, image)
    }
}

/// The patch of the sender that a patch of the target sees.
fn through(pattern: &Pattern, patch: [usize; 2], image: [usize; 2]) -> [usize; 2] {
    let window = |size: [usize; 2], stride: [usize; 2]| [0, 1].map(|k| (patch[k] - 1) * stride[k] + size[k]);
    match pattern {
        Pattern::Conv { size, conv, .. } => window(*size, conv.stride),
        Pattern::MaxPool(pool) | Pattern::AvgPool(pool) => window(pool.size, pool.stride),
        // A patch may begin in the middle of a repeated value.
        Pattern::Upsample(pool) => [0, 1].map(|k| (patch[k] - 1).div_ceil(pool.size[k]) + 1),
        Pattern::OneToOne => patch,
        _ => image,
    }
}
