//! Vectors in plain Rust: arrays, made lane by lane.

/// What `std::array::from_fn` gives, by a loop that is surely part of its caller. That function and the arrays' `map` are made of others that
/// nothing obliges the compiler to inline, and an addition that is several calls takes a hundred times as long.
#[inline(always)]
pub(crate) fn lanes<T: Copy + Default, const N: usize>(lane: impl Fn(usize) -> T) -> [T; N] {
    let mut lanes = [T::default(); N];
    for (index, value) in lanes.iter_mut().enumerate() {
        *value = lane(index);
    }
    lanes
}
