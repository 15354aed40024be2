#include "nn/rotary.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace foregate::nn {
namespace {

// theta^(2i / width) in float32.
torch::Tensor wavelengths(int64_t width, double theta) {
  TORCH_CHECK(width > 0 && width % 2 == 0, "rotary: the width is ", width, "; expected even");
  const torch::Tensor exponent =
      torch::arange(0, width, 2, torch::kFloat32) / static_cast<double>(width);
  return torch::pow(theta, exponent);
}

Rotary with_frequencies(const torch::Tensor& frequencies) {
  const torch::Tensor values = frequencies.contiguous();
  const float* first = values.const_data_ptr<float>();
  return {.inverse_frequencies = {first, first + values.numel()}};
}

// The pair that turns so many times in the original context; between two pairs: a fraction.
double pair_of_turns(double turns, int64_t width, double theta, double context) {
  return static_cast<double>(width) * std::log(context / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

}  // namespace

Rotary plain_rotary(int64_t width, double theta) {
  return with_frequencies(1.0 / wavelengths(width, theta));
}

Rotary yarn_rotary(int64_t width, double theta, const YarnScaling& yarn) {
  double low = pair_of_turns(yarn.beta_fast, width, theta, yarn.original_context);
  double high = pair_of_turns(yarn.beta_slow, width, theta, yarn.original_context);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(width - 1));
  if (low == high) high += 0.001;
  const torch::Tensor ramp =
      ((torch::arange(width / 2, torch::kFloat32) - low) / (high - low)).clamp(0, 1);
  const torch::Tensor kept = 1 - ramp;  // how much of a pair's own frequency stays
  const torch::Tensor wavelength = wavelengths(width, theta);
  return with_frequencies(1.0 / (yarn.scale * wavelength) * (1 - kept) + 1.0 / wavelength * kept);
}

Rotary llama3_rotary(int64_t width, double theta, const Llama3Scaling& llama) {
  const torch::Tensor plain = 1.0 / wavelengths(width, theta);
  const torch::Tensor wavelength = 2 * std::numbers::pi / plain;
  const double longest = llama.original_context / llama.low;
  const double shortest = llama.original_context / llama.high;
  const torch::Tensor scaled = torch::where(wavelength > longest, plain / llama.scale, plain);
  const torch::Tensor kept =
      (llama.original_context / wavelength - llama.low) / (llama.high - llama.low);
  const torch::Tensor between = (1 - kept) * scaled / llama.scale + kept * scaled;
  return with_frequencies(
      torch::where((wavelength >= shortest).logical_and(wavelength <= longest), between, scaled));
}

Rotary longrope_rotary(int64_t width, double theta, const std::vector<double>& factors) {
  TORCH_CHECK(2 * static_cast<int64_t>(factors.size()) == width, "rotary: ", factors.size(),
              " factors; expected ", width / 2);
  return with_frequencies(1.0 /
                          (torch::tensor(factors).to(torch::kFloat32) * wavelengths(width, theta)));
}

double yarn_magnitude(double scale, double weight) {
  return scale <= 1 ? 1.0 : 0.1 * weight * std::log(scale) + 1.0;
}

}  // namespace foregate::nn
