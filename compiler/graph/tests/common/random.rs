//! Random graphs whose values are tame: finite, not too large, and far from where a discrete op jumps.

use nnm_graph::ir::{Binary, Conv, Graph, NodeId, Place, Pool, Reduce, Unary, VarId};
use nnm_graph::{Built, ShapeError};

use super::{Numbers, Values, array, flat};

pub struct Random {
    pub graph: Graph,
    pub values: Values,
    pub numbers: Numbers,
    pub nodes: Vec<NodeId>,
    /// Vars that hold indices, which nothing else is to be stored in.
    pub indices: Vec<VarId>,
}

const SHAPES: &[&[usize]] =
    &[&[], &[1], &[3], &[4], &[2, 3], &[3, 4], &[4, 1], &[1, 3], &[2, 3, 4], &[2, 4, 4], &[5, 3]];

const UNARY: &[Unary] = &[
    Unary::Neg,
    Unary::Abs,
    Unary::Sign,
    Unary::Floor,
    Unary::Round,
    Unary::Exp,
    Unary::Sin,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Softplus,
    Unary::Erf,
    Unary::Not,
];

const BINARY: &[Binary] = &[
    Binary::Add,
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Mul,
    Binary::Div,
    Binary::Min,
    Binary::Max,
    Binary::Atan2,
    Binary::Lt,
    Binary::Ge,
    Binary::Ne,
    Binary::And,
    Binary::Or,
];

type Step = fn(&mut Random) -> Built;

const STEPS: &[Step] = &[
    Random::unary,
    Random::unary,
    Random::unary,
    Random::binary,
    Random::binary,
    Random::binary,
    Random::binary,
    Random::select,
    Random::matmul,
    Random::matmul,
    Random::matmul,
    Random::dense,
    Random::reduce,
    Random::reduce,
    Random::reshape,
    Random::permute,
    Random::slice,
    Random::unslice,
    Random::concat,
    Random::gather,
    Random::scatter,
    Random::batch_sum,
    Random::batch_sum,
    Random::cumsum,
    Random::reverse,
    Random::broadcast,
    Random::argmax,
    Random::conv,
    Random::pool,
    Random::softmax,
    Random::grad,
    Random::scalar,
];

impl Random {
    pub fn new(seed: u64, batch: usize) -> Random {
        let mut random = Random {
            graph: Graph::default(),
            values: Values::new(batch),
            numbers: Numbers(seed),
            nodes: vec![],
            indices: vec![],
        };
        for _ in 0..6 {
            let shape = SHAPES[random.numbers.below(SHAPES.len())];
            let batched = random.numbers.below(2) == 0;
            let read = random.values.var(&mut random.graph, &mut random.numbers, shape, batched, (-1.5, 1.5));
            random.nodes.push(read);
        }
        random
    }

    /// Some more nodes.
    pub fn grow(&mut self, steps: usize) {
        for _ in 0..steps {
            let step = STEPS[self.numbers.below(STEPS.len())];
            let Ok(node) = step(self) else { continue };
            if self.is_tame(node) {
                self.nodes.push(node);
            }
        }
    }

    fn value(&self, node: NodeId) -> Vec<f64> {
        flat(&self.values.eval(&self.graph, &[node])[0])
    }

    fn is_tame(&self, node: NodeId) -> bool {
        let size: usize = self.graph.shape(node).iter().product();
        size <= 200 && self.value(node).iter().all(|x| x.is_finite() && x.abs() < 50.0)
    }

    pub fn any(&mut self) -> NodeId {
        let n = self.nodes.len();
        self.nodes[self.numbers.below(n)]
    }

    fn axis(&mut self, node: NodeId) -> usize {
        let rank = self.graph.shape(node).len();
        self.numbers.below(rank.max(1))
    }

    fn refuse(&self) -> Built {
        Err(ShapeError { op: "test", shapes: vec![], reason: String::new() })
    }

    fn unary(&mut self) -> Built {
        let (op, a) = (UNARY[self.numbers.below(UNARY.len())], self.any());
        let jumps = matches!(op, Unary::Sign | Unary::Floor | Unary::Round | Unary::Not);
        let near = |x: f64| (x * 2.0 - (x * 2.0).round()).abs() < 1e-6 && (op != Unary::Not || x != x.round());
        if jumps && self.value(a).into_iter().any(near) {
            return self.refuse();
        }
        self.graph.unary(op, a)
    }

    fn binary(&mut self) -> Built {
        let (op, a, b) = (BINARY[self.numbers.below(BINARY.len())], self.any(), self.any());
        let node = self.graph.binary(op, a, b)?;
        let tame = match op {
            Binary::Div | Binary::Atan2 => self.value(b).iter().all(|x| x.abs() > 0.1),
            Binary::And | Binary::Or => {
                let clear = |x: &f64| *x == 0.0 || x.abs() > 1e-3;
                self.graph.is_boolean(a) && self.graph.is_boolean(b) && self.value(a).iter().all(clear)
            }
            Binary::Lt | Binary::Ge | Binary::Ne => {
                let difference = self.graph.binary(Binary::Sub, a, b)?;
                self.value(difference).iter().all(|x| x.abs() > 1e-6)
            }
            _ => true,
        };
        if tame { Ok(node) } else { self.refuse() }
    }

    fn select(&mut self) -> Built {
        let (c, a, b) = (self.any(), self.any(), self.any());
        let c = if self.graph.is_boolean(c) { c } else { self.graph.unary(Unary::Abs, c)? };
        if self.value(c).iter().any(|x| x.abs() < 1e-6 && *x != 0.0) || !self.graph.is_boolean(c) {
            return self.refuse();
        }
        self.graph.select(c, a, b)
    }

    fn matmul(&mut self) -> Built {
        let (a, b) = (self.any(), self.any());
        let a = if self.numbers.below(3) == 0 { self.graph.transpose(a)? } else { a };
        let b = if self.numbers.below(3) == 0 { self.graph.transpose(b)? } else { b };
        self.graph.matmul(a, b)
    }

    /// Products, a row and something else, added.
    fn dense(&mut self) -> Built {
        let (x, y, row, other) = (self.matmul()?, self.any(), self.any(), self.any());
        let sum = self.graph.binary(Binary::Add, x, row)?;
        let more = if self.numbers.below(2) == 0 { self.matmul()? } else { y };
        let sum = self.graph.binary(Binary::Add, sum, other)?;
        self.graph.binary(Binary::Add, sum, more)
    }

    fn reduce(&mut self) -> Built {
        let a = self.any();
        let kind = [Reduce::Sum, Reduce::Sum, Reduce::Max, Reduce::Min, Reduce::Prod][self.numbers.below(5)];
        let axes: Vec<usize> = (0..self.graph.shape(a).len()).filter(|_| self.numbers.below(2) == 0).collect();
        let reduced = self.graph.reduce(kind, a, &axes)?;
        if kind == Reduce::Sum && self.numbers.below(2) == 0 {
            return self.graph.mean(a, &axes);
        }
        Ok(reduced)
    }

    fn reshape(&mut self) -> Built {
        let a = self.any();
        let size: usize = self.graph.shape(a).iter().product();
        let shapes: [Vec<usize>; 3] = [vec![size], vec![1, size], vec![size / 2, 2]];
        let to = &shapes[self.numbers.below(3)];
        self.graph.reshape(a, to)
    }

    fn permute(&mut self) -> Built {
        let a = self.any();
        let rank = self.graph.shape(a).len();
        let mut axes: Vec<usize> = (0..rank).collect();
        for k in 0..rank {
            let other = self.numbers.below(rank);
            axes.swap(k, other);
        }
        self.graph.permute(a, &axes)
    }

    fn slice(&mut self) -> Built {
        let a = self.any();
        let axis = self.axis(a);
        let (start, step, len) = (self.numbers.below(3), 1 + self.numbers.below(2), 1 + self.numbers.below(3));
        self.graph.slice(a, axis, start, step, len)
    }

    fn unslice(&mut self) -> Built {
        let a = self.any();
        let axis = self.axis(a);
        let (start, step) = (self.numbers.below(3), 1 + self.numbers.below(2));
        self.graph.unslice(a, axis, start, step, 6)
    }

    fn concat(&mut self) -> Built {
        let (a, b, c) = (self.any(), self.any(), self.any());
        let axis = self.axis(a);
        self.graph.concat(axis, &[a, b]).or_else(|_| self.graph.stack(axis, &[a, c, a]))
    }

    fn indices(&mut self, count: usize, below: usize) -> NodeId {
        let batched = self.numbers.below(2) == 0;
        let samples = if batched { self.values.batch } else { 1 };
        let data = (0..samples * count).map(|_| self.numbers.below(below) as f64).collect();
        let shape = if batched { vec![samples, count] } else { vec![count] };
        self.indices.push(VarId(self.graph.vars.len() as u32));
        self.values.var_of(&mut self.graph, array(&shape, data), batched)
    }

    /// Goes on with what vars hold now, and nothing else.
    pub fn restart(&mut self) {
        let vars = (0..self.graph.vars.len() as u32).map(VarId).filter(|var| !self.indices.contains(var));
        let vars: Vec<VarId> = vars.filter(|var| self.values.of.contains_key(var)).collect();
        self.nodes = vars.into_iter().filter_map(|var| self.graph.read(var, Place::Whole).ok()).collect();
    }

    fn gather(&mut self) -> Built {
        let a = self.any();
        let axis = self.axis(a);
        let Some(extent) = self.graph.shape(a).get(axis).copied() else { return self.refuse() };
        let index = self.indices(2, extent);
        self.graph.gather(a, axis, index)
    }

    fn scatter(&mut self) -> Built {
        let a = self.any();
        let axis = self.axis(a);
        let mut to = self.graph.shape(a).to_vec();
        let Some(count) = to.get(axis).copied() else { return self.refuse() };
        to[axis] = 4;
        let index = self.indices(count, 4);
        self.graph.scatter_add(a, axis, index, &to)
    }

    fn batch_sum(&mut self) -> Built {
        let a = if self.numbers.below(2) == 0 { self.any() } else { self.matmul()? };
        self.graph.batch_sum(a)
    }

    fn cumsum(&mut self) -> Built {
        let a = self.any();
        let (axis, reverse) = (self.axis(a), self.numbers.below(2) == 0);
        self.graph.cumsum(a, axis, reverse)
    }

    fn reverse(&mut self) -> Built {
        let a = self.any();
        let axis = self.axis(a);
        self.graph.reverse(a, axis)
    }

    fn broadcast(&mut self) -> Built {
        let a = self.any();
        let to = SHAPES[self.numbers.below(SHAPES.len())];
        self.graph.broadcast_to(a, to)
    }

    fn argmax(&mut self) -> Built {
        let a = self.any();
        if self.graph.is_boolean(a) {
            return self.refuse();
        }
        let mut values = self.value(a);
        values.sort_by(f64::total_cmp);
        if values.windows(2).any(|pair| pair[1] - pair[0] < 1e-6) {
            return self.refuse();
        }
        let axis = self.axis(a);
        self.graph.argmax(a, axis)
    }

    fn conv(&mut self) -> Built {
        let x = self.any();
        let Some(channels) = self.graph.shape(x).first().copied() else { return self.refuse() };
        let groups = if channels % 2 == 0 { 1 + self.numbers.below(2) } else { 1 };
        let shape = [2, channels / groups, 1 + self.numbers.below(3), 1 + self.numbers.below(3)];
        let batched = self.numbers.below(4) == 0;
        let w = self.values.var(&mut self.graph, &mut self.numbers, &shape, batched, (-1.0, 1.0));
        let pad = [[self.numbers.below(2), self.numbers.below(2)], [self.numbers.below(2), self.numbers.below(2)]];
        let conv = Conv { stride: [1 + self.numbers.below(2), 1 + self.numbers.below(2)], pad, groups };
        let y = self.graph.conv2d(x, w, conv)?;
        let from = self.graph.shape(x).to_vec();
        match self.numbers.below(4) {
            0 => self.graph.conv2d_input_grad(y, w, conv, &from),
            1 => self.graph.conv2d_weight_grad(x, y, conv, &shape),
            2 => {
                let grad = self.graph.conv2d_weight_grad(x, y, conv, &shape)?;
                self.graph.batch_sum(grad)
            }
            _ => Ok(y),
        }
    }

    fn pool(&mut self) -> Built {
        let x = self.any();
        let size = [1 + self.numbers.below(2), 1 + self.numbers.below(3)];
        let pool = Pool { size, stride: [1 + self.numbers.below(2), 1] };
        let from = self.graph.shape(x).to_vec();
        let mean = self.graph.avg_pool(x, pool)?;
        if self.numbers.below(3) == 0 {
            return self.graph.avg_pool_grad(mean, pool, &from);
        }
        let mut values = self.value(x);
        values.sort_by(f64::total_cmp);
        if self.graph.is_boolean(x) || values.windows(2).any(|pair| pair[1] - pair[0] < 1e-6) {
            return Ok(mean);
        }
        match self.numbers.below(3) {
            0 => self.graph.max_pool(x, pool),
            1 => self.graph.max_pool_grad(x, mean, pool),
            _ => {
                let other = self.graph.unary(Unary::Sin, x)?;
                self.graph.max_pool_take(x, other, pool)
            }
        }
    }

    fn softmax(&mut self) -> Built {
        let a = self.any();
        let axis = self.axis(a);
        if axis >= self.graph.shape(a).len() {
            return self.refuse();
        }
        match self.numbers.below(3) {
            0 => self.graph.softmax(a, axis),
            1 => self.graph.log_softmax(a, axis),
            _ => self.graph.logsumexp(a, axis),
        }
    }

    /// A derivative of something that is there.
    fn grad(&mut self) -> Built {
        let (y, x) = (self.any(), self.nodes[0]);
        let square = self.graph.unary(Unary::Sin, y)?;
        let grads = nnm_graph::grad(&mut self.graph, &[(y, square)], &[x])?;
        match grads[0] {
            Some(node) => Ok(node),
            None => self.refuse(),
        }
    }

    fn scalar(&mut self) -> Built {
        let a = self.any();
        let c = self.numbers.between(-1.5, 1.5);
        let c = self.graph.constant(c);
        let sum = self.graph.reduce_all(Reduce::Sum, a)?;
        self.graph.binary(Binary::Mul, sum, c)
    }
}
