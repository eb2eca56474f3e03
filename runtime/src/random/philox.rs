//! The counter-based generator Philox4x32-10 (Salmon, Moraes, Dror, Shaw, 2011).
//!
//! A pure function from a counter of 128 bits and a key of 64 bits to 128 random bits.

const MULTIPLIERS: (u64, u64) = (0xD251_1F53, 0xCD9E_8D57);
const WEYL: (u32, u32) = (0x9E37_79B9, 0xBB67_AE85);
const LOW: u64 = 0xFFFF_FFFF;

/// The four output words, each below 2^32. Words travel in u64 so that loops over this vectorise.
#[inline(always)]
pub fn words(counter: [u64; 4], key: u64) -> [u64; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let (mut k, mut l) = (key as u32, (key >> 32) as u32);
    for _ in 0..10 {
        let first = MULTIPLIERS.0 * a;
        let second = MULTIPLIERS.1 * c;
        a = (second >> 32) ^ b ^ u64::from(k);
        b = second & LOW;
        c = (first >> 32) ^ d ^ u64::from(l);
        d = first & LOW;
        k = k.wrapping_add(WEYL.0);
        l = l.wrapping_add(WEYL.1);
    }
    [a, b, c, d]
}

/// The words of block `block` at `step`: the counter is (block low, block high, step low, step high).
#[inline(always)]
pub fn block(key: u64, step: u64, block: u64) -> [u64; 4] {
    words([block & LOW, block >> 32, step & LOW, step >> 32], key)
}

#[cfg(test)]
mod tests {
    use super::words;

    /// The known answers published with the generator (Random123, `kat_vectors`).
    #[test]
    fn known_answers() {
        let ones = 0xFFFF_FFFF;
        assert_eq!(words([0; 4], 0), [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]);
        assert_eq!(words([ones; 4], u64::MAX), [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]);
        let pi = [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344];
        let key = 0x299F_31D0_A409_3822;
        assert_eq!(words(pi, key), [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]);
    }
}
