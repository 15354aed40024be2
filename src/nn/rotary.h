#pragma once

#include <cstdint>
#include <vector>

namespace foregate::nn {

/// How the first elements of every head turn with their token's position (Su et al. 2021): pair i
/// by the angle position * inverse_frequencies[i]. Whatever stretches the context of a model does
/// it by these numbers.
struct Rotary {
  enum class Pairs : uint8_t {
    kHalves,       ///< elements i and i + width / 2, as transformers' rotate_half has them
    kInterleaved,  ///< elements 2i and 2i + 1
  };
  std::vector<float> inverse_frequencies{};  ///< [width / 2], radians a position
  double factor = 1;                         ///< that cosines and sines are multiplied by
  Pairs pairs = Pairs::kHalves;

  /// Elements of a head that turn.
  int64_t width() const { return 2 * static_cast<int64_t>(inverse_frequencies.size()); }
  bool operator==(const Rotary&) const = default;
};

/// Pair i turns by theta^(-2i / width) a position. `width` is even.
Rotary plain_rotary(int64_t width, double theta);

/// What YaRN (Peng et al. 2023) is told. The numbers are those of transformers'
/// modeling_rope_utils.py, taken in float32 as there.
struct YarnScaling {
  double scale = 1;             ///< how much longer the context has become
  double original_context = 0;  ///< tokens, before that
  double beta_fast = 32;        ///< turns in the original context from which on nothing is scaled
  double beta_slow = 1;         ///< turns up to which everything is
  bool truncate = true;         ///< the ramp between them begins and ends at whole pairs
};

/// `factor` stays 1: it depends on the architecture.
Rotary yarn_rotary(int64_t width, double theta, const YarnScaling& yarn);

/// What Llama 3.1 is told, as there.
struct Llama3Scaling {
  double scale = 1;             ///< of wavelengths beyond original_context / low
  double original_context = 0;  ///< tokens
  double low = 1;               ///< wavelengths from here ...
  double high = 4;              ///< ... to original_context / high are scaled by a ramp
};
Rotary llama3_rotary(int64_t width, double theta, const Llama3Scaling& llama);

/// LongRoPE (Ding et al. 2024, arXiv 2402.13753): a factor on every wavelength, [width / 2].
Rotary longrope_rotary(int64_t width, double theta, const std::vector<double>& factors);

/// 0.1 * weight * ln(scale) + 1, which YaRN sharpens a softmax with; 1 if nothing is stretched.
double yarn_magnitude(double scale, double weight = 1);

}  // namespace foregate::nn
