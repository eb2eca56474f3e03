//! Plain loops compiled for each instruction set, chosen at the call.

/// `fn name<T: Float>(…)` that runs the loop `body` (an `#[inline(always)]` function) at the machine's best level.
macro_rules! by_level {
    ($(#[$doc:meta])* fn $name:ident<$t:ident>($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? = $body:path) => {
        $(#[$doc])*
        pub(super) fn $name<$t: crate::prims::call::Float>($($arg: $kind),*) $(-> $out)? {
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
            fn v3<$t: crate::prims::call::Float>($($arg: $kind),*) $(-> $out)? {
                $body($($arg),*)
            }
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            fn v4<$t: crate::prims::call::Float>($($arg: $kind),*) $(-> $out)? {
                $body($($arg),*)
            }
            match crate::math::Level::best() {
                crate::math::Level::Base => $body($($arg),*),
                // SAFETY: the machine has the level's features.
                crate::math::Level::V3 => unsafe { v3($($arg),*) },
                // SAFETY: the machine has the level's features.
                crate::math::Level::V4 => unsafe { v4($($arg),*) },
            }
        }
    };
}
pub(super) use by_level;
