//! Softmax attention straight from `qkv`: no head is copied out and no matrix of probabilities is written (Dao and others,
//! "FlashAttention", 2022).
//!
//! A workgroup has one head and 32 queries, and goes over the keys 32 at a time. Of a tile's 32 × 32 scores a unit computes 4 × 4, of
//! the result 4 queries and every eighth group of four columns. Queries, keys and values are read where they lie: a tile of
//! them is a few kilobytes, which stay in the cache. Only what units must tell one another is in workgroup memory (5 KiB).

use burn::tensor::TensorMetadata;
use burn_cubecl::{
    CubeRuntime,
    cubecl::{self, prelude::*},
    tensor::CubeTensor,
};

use super::launch::{Four, empty};

/// Queries of a workgroup, and keys of a tile.
const TILE: usize = 32;
/// Units of a workgroup in each direction; each has four queries and four keys.
const UNITS: usize = TILE / 4;
/// Below any score.
const LOWEST: f32 = f32::MIN;

#[cube(launch_unchecked)]
fn attention_kernel<E: Float>(
    qkv: &Array<Four<E>>,
    out: &mut Array<Four<E>>,
    tokens: u32,
    queries: u32,
    heads: u32,
    scale: f32,
    causal: u32,
    #[comptime] head: usize,
    #[define(E)] _format: StorageType,
) {
    let columns = comptime!(head.div_ceil(UNITS));
    let (across, down) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let (tokens, queries) = (tokens as usize, queries as usize);
    let width = heads as usize * head;
    let row = width * 3;
    let query = CUBE_POS_Z as usize * tokens * row + CUBE_POS_Y as usize * head;
    let (key, value) = (query + width, query + width * 2);
    let first = CUBE_POS_X as usize * TILE + down * 4;

    let mut peaks = SharedMemory::<f32>::new(comptime!(TILE * UNITS));
    let mut weights = SharedMemory::<Four<f32>>::new(comptime!(TILE * UNITS));
    let mut largest = Array::<f32>::new(4usize);
    let mut total = Array::<f32>::new(4usize);
    let mut sums = Array::<Four<f32>>::new(comptime!(4 * columns));
    #[unroll]
    for r in 0..4usize {
        largest[r] = LOWEST;
        total[r] = 0.0f32;
        #[unroll]
        for c in 0..columns {
            sums[r * columns + c] = Four::<f32>::new(0.0f32);
        }
    }

    let mut seen = tokens;
    if causal == 1u32 {
        seen = min(tokens, (CUBE_POS_X as usize + 1) * TILE);
    }
    for start in range_stepped(0usize, seen, TILE) {
        let keys = start + across * 4;
        let mut scores = Array::<f32>::new(16usize);
        #[unroll]
        for i in 0..16usize {
            scores[i] = 0.0f32;
        }
        for place in 0..head {
            let mut some = Array::<Four<f32>>::new(4usize);
            #[unroll]
            for c in 0..4usize {
                some[c] = Four::<f32>::cast_from(qkv[key + min(keys + c, tokens - 1) * row + place]);
            }
            #[unroll]
            for r in 0..4usize {
                let one = Four::<f32>::cast_from(qkv[query + min(first + r, queries - 1) * row + place]);
                #[unroll]
                for c in 0..4usize {
                    scores[r * 4 + c] += one.dot(some[c]);
                }
            }
        }
        #[unroll]
        for r in 0..4usize {
            let mut peak = LOWEST.runtime();
            #[unroll]
            for c in 0..4usize {
                scores[r * 4 + c] *= scale;
                if sees(first + r, keys + c, tokens, causal) {
                    peak = max(peak, scores[r * 4 + c]);
                }
            }
            peaks[(down * 4 + r) * UNITS + across] = peak;
        }
        sync_cube();
        #[unroll]
        for r in 0..4usize {
            let mut peak = largest[r];
            for unit in 0..UNITS {
                peak = max(peak, peaks[(down * 4 + r) * UNITS + unit]);
            }
            let shrink = f32::exp(largest[r] - peak);
            largest[r] = peak;
            total[r] *= shrink;
            let mut weight = Four::<f32>::new(0.0f32);
            #[unroll]
            for c in 0..4usize {
                if sees(first + r, keys + c, tokens, causal) {
                    let probability = f32::exp(scores[r * 4 + c] - peak);
                    total[r] += probability;
                    weight[c] = probability;
                }
            }
            weights[(down * 4 + r) * UNITS + across] = weight;
            #[unroll]
            for c in 0..columns {
                sums[r * columns + c] *= Four::<f32>::new(shrink);
            }
        }
        sync_cube();
        let groups = min(UNITS, (tokens - start).div_ceil(4));
        for group in 0..groups {
            let mut some = Array::<Four<f32>>::new(4usize);
            #[unroll]
            for r in 0..4usize {
                some[r] = weights[(down * 4 + r) * UNITS + group];
            }
            #[unroll]
            for k in 0..4usize {
                let from = value + min(start + group * 4 + k, tokens - 1) * row;
                #[unroll]
                for c in 0..columns {
                    let column = across + c * UNITS;
                    if column < head {
                        let one = Four::<f32>::cast_from(qkv[from + column]);
                        #[unroll]
                        for r in 0..4usize {
                            sums[r * columns + c] += Four::<f32>::new(some[r][k]) * one;
                        }
                    }
                }
            }
        }
    }

    // Each unit has summed the probabilities of its own keys. Nobody reads `peaks` after the last barrier.
    #[unroll]
    for r in 0..4usize {
        peaks[(down * 4 + r) * UNITS + across] = total[r];
    }
    sync_cube();
    #[unroll]
    for r in 0..4usize {
        let mut all = 0.0f32;
        for unit in 0..UNITS {
            all += peaks[(down * 4 + r) * UNITS + unit];
        }
        if first + r < queries {
            let to = (CUBE_POS_Z as usize * queries + first + r) * width + CUBE_POS_Y as usize * head;
            #[unroll]
            for c in 0..columns {
                let column = across + c * UNITS;
                if column < head {
                    out[to + column] = Four::<E>::cast_from(sums[r * columns + c] / Four::<f32>::new(all));
                }
            }
        }
    }
}

/// Whether a query attends to a key.
#[cube]
fn sees(query: usize, key: usize, tokens: usize, causal: u32) -> bool {
    key < tokens && (causal == 0u32 || key <= query)
}

/// See [`super::super::ClipBackend::attention`]; only the first `queries` tokens ask: `[batch, queries, width]`.
pub(super) fn forward<R: CubeRuntime>(qkv: CubeTensor<R>, queries: usize, heads: usize, causal: bool) -> CubeTensor<R> {
    let [batch, tokens, triple] = qkv.shape().dims();
    let (width, head) = (triple / 3, triple / 3 / heads);
    let out = empty(&qkv, [batch, queries, width]);
    let (client, format) = (qkv.client.clone(), qkv.dtype);
    // SAFETY: the kernel reads tokens and writes queries below their numbers only, and columns of its head.
    unsafe {
        attention_kernel::launch_unchecked(
            &client,
            CubeCount::Static(queries.div_ceil(TILE) as u32, heads as u32, batch as u32),
            CubeDim::new_2d(UNITS as u32, UNITS as u32),
            qkv.into_array_arg(),
            out.clone().into_array_arg(),
            tokens as u32,
            queries as u32,
            heads as u32,
            (head as f32).powf(-0.5),
            u32::from(causal),
            head / 4,
            format.into(),
        );
    }
    out
}
