//! Logarithms to base two and powers of two in whole numbers: what every replica works out must be
//! the same bit for bit, and the logarithms of floating-point libraries are not.

/// One octave, a factor of two: places are in 65,536ths of it.
pub const OCTAVE: i64 = 1 << 16;

/// A factor of one and a half.
pub const HALF_AS_MUCH: i64 = 38_336;

/// The greatest place whose power of two fits into 64 bits.
const PLACE_MAX: i64 = 63 * OCTAVE;

/// One, in the fixed-point form of the roots: 31 bits behind the point.
const ONE: u64 = 1 << 31;

/// The square root of two, its square root, and so on: 2 to the 1/2, 1/4, 1/8 …
const ROOTS: [u64; 16] = {
    let mut roots = [0; 16];
    let mut root = ONE << 1;
    let mut n = 0;
    while n < roots.len() {
        root = (root << 31).isqrt();
        roots[n] = root;
        n += 1;
    }
    roots
};

/// The logarithm of a number to base two, in 65,536ths; that of nothing is that of one.
pub fn log2(number: u64) -> i64 {
    let number = number.max(1);
    let whole = number.ilog2();
    // The number as one and a fraction, with 31 bits behind the point.
    let mut mantissa = if whole > 31 { number >> (whole - 31) } else { number << (31 - whole) };
    let mut log = i64::from(whole);
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        log <<= 1;
        if mantissa >= ONE << 1 {
            mantissa >>= 1;
            log |= 1;
        }
    }
    log
}

/// Two to the power of so many 65,536ths, times `2^fraction_bits`; stays at the greatest number.
pub fn exp2(place: i64, fraction_bits: u32) -> u64 {
    let place = place.saturating_add(i64::from(fraction_bits) * OCTAVE);
    if place < 0 {
        return 0;
    }
    if place >= PLACE_MAX {
        return u64::MAX;
    }
    let mut number = ONE;
    for (n, root) in ROOTS.iter().enumerate() {
        if place & (OCTAVE >> (n + 1)) != 0 {
            number = (number * root) >> 31;
        }
    }
    let whole = u32::try_from(place >> 16).unwrap_or(0);
    if whole >= 31 { number << (whole - 31) } else { number >> (31 - whole) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_are_exact() {
        for n in 0..63 {
            assert_eq!(log2(1 << n), i64::from(n) * OCTAVE);
            assert_eq!(exp2(i64::from(n) * OCTAVE, 0), if n < 63 { 1 << n } else { u64::MAX });
        }
        assert_eq!(log2(0), 0);
        assert_eq!(log2(3) - OCTAVE, HALF_AS_MUCH);
        assert_eq!(exp2(-1, 0), 0, "less than one is nothing");
        assert_eq!(exp2(-OCTAVE, 16), 1 << 15);
        assert_eq!(exp2(i64::MAX, 63), u64::MAX);
        assert_eq!(exp2(i64::MIN, 0), 0);
    }

    proptest! {
        #[test]
        fn a_power_undoes_a_logarithm(number in 1_u64..1 << 62) {
            let back = exp2(log2(number), 0);
            prop_assert!(back <= number && number - back <= number / 20_000 + 1, "{number} {back}");
        }

        #[test]
        fn both_rise(number in any::<u64>(), more in any::<u64>(), place in 0..PLACE_MAX) {
            let greater = number.saturating_add(more >> 1);
            prop_assert!(log2(number) <= log2(greater));
            prop_assert!(exp2(place, 0) <= exp2(place + 1, 0));
        }
    }
}
