#pragma once

#include <cstdint>

namespace foregate::scoring {

// The numbers that fitting and scoring must agree on, which no predictor directory holds. A
// predictor written with other ones would score otherwise: they change with the format version.

/// No probability counts as less: logs stay finite.
inline constexpr float kSmallestProbability = 1e-6F;

// Counting.

/// P(e | id) = (count(id, e) + 4 frequency(e)) / (count(id) + 4), and what paths say likewise.
inline constexpr float kTablePseudoCounts = 4;
/// Of counts over the text at hand, and over training tokens of the same pair of ids.
inline constexpr float kTextPseudoCounts = 2;
/// A token d places back in the text counts .97^(d-1).
inline constexpr float kTextDecay = 0.97F;
/// Terms of `statistics` in front of those of the earlier layers.
inline constexpr int64_t kTokenTerms = 9;
/// Of `previous-token`. Frequencies are below 1, so that they only order the experts the token
/// before did not choose.
inline constexpr float kFrequencyWeight = 1e-3F;

// Networks.

/// How many tokens before a token `gate-mlp` looks at. Four gave less than two on the models
/// measured.
inline constexpr int64_t kTokensBefore = 2;
/// z = x / sqrt(mean(x^2) + 1e-6)
inline constexpr float kStateEpsilon = 1e-6F;
/// Of `transformer`: pairs of dimensions turn by the token's place times 10000^(-2 i / d).
inline constexpr double kRotaryBase = 10000;
inline constexpr double kLayerNormEpsilon = 1e-5;

}  // namespace foregate::scoring
