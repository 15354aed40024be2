#include "predict/counting/random.h"

#include <torch/types.h>

#include "base/random.h"

namespace foregate::predict {

torch::Tensor RandomPredictor::score(const RoutedText& text) const {
  const int64_t tokens = text.num_tokens();
  const int64_t row = num_layers() * geometry().num_experts;
  torch::Tensor scores = torch::empty({tokens, num_layers(), geometry().num_experts});
  auto* value = scores.mutable_data_ptr<float>();
  const torch::Tensor ids = text.token_ids.contiguous();
  for (int64_t t = 0; t < tokens; ++t) {
    // A stream for each place and id: nothing of the text behind the token can change its scores.
    const auto id = static_cast<uint64_t>(ids.const_data_ptr<int64_t>()[t]);
    Random random = Random(seed_).fork(id << 32 | static_cast<uint64_t>(t));
    for (int64_t i = 0; i < row; ++i) *value++ = static_cast<float>(random.uniform());
  }
  return scores;
}

NamedTensors RandomPredictor::weights() const {
  return {{"seed", torch::tensor({static_cast<int64_t>(seed_)}, torch::kInt64)}};
}

void RandomPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const torch::Tensor seed = take_weight(weights, "seed", {1}, torch::kInt64, where);
  seed_ = static_cast<uint64_t>(seed.item<int64_t>());
}

}  // namespace foregate::predict
