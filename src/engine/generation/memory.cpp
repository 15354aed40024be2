#include "engine/generation/memory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "base/error.h"
#include "base/number_text.h"
#include "engine/kv_cache.h"
#include "engine/memory_needs.h"
#include "tensor/dtype.h"

namespace foregate::engine {
namespace {

std::string bytes(int64_t count) {
  return human_bytes(static_cast<uint64_t>(count));
}

tensor::Quantization quantization_of(const tensor::Compute& compute) {
  return compute.quantization.value_or(tensor::Quantization::kNone);
}

std::string remedies(const tensor::Compute& compute, bool weights_fit, bool offloaded) {
  std::vector<std::string> all;
  if (quantization_of(compute) != tensor::all_quantizations().back())
    all.emplace_back("--quantize");
  if (!weights_fit) all.emplace_back(offloaded ? "a smaller --cache-memory" : "--offload ram");
  if (!compute.kv_dtype) all.emplace_back("--kv-dtype int8");
  if (weights_fit) all.emplace_back("fewer or shorter texts at once");
  if (all.empty()) all.emplace_back("a smaller model");
  return fmt::format("{}", fmt::join(all, ", "));
}

}  // namespace

GenerationNeeds generation_needs(const models::ModelConfig& config, const tensor::Compute& compute,
                                 const GenerationLoad& load) {
  const MemoryNeeds needs =
      memory_needs(config, quantization_of(compute), compute.dtype, compute.device, Extent::kWhole);
  int64_t weights = needs.weights;
  if (load.expert_slots) {
    weights += *load.expert_slots * expert_bytes(config, quantization_of(compute), compute.dtype) -
               needs.expert_layers * needs.layer_experts;
  }
  // Logits in float32, and once more while the largest is found.
  const int64_t logits =
      2 * load.sequences * config.vocab_size * static_cast<int64_t>(sizeof(float));
  return {.weights = weights,
          .cache = load.cache_bytes,
          .step = needs.scratch + load.step_tokens * needs.per_token + logits};
}

void require_memory(const models::ModelConfig& config, const tensor::Compute& compute,
                    const GenerationLoad& load, int64_t memory, const std::string& model) {
  const GenerationNeeds needs = generation_needs(config, compute, load);
  if (needs.total() <= memory) return;
  const int64_t tokens = needs.cache / bytes_per_token(kv_layout(config), compute.cache_dtype());
  const tensor::Quantization kind = quantization_of(compute);
  const std::string kept = kind == tensor::Quantization::kNone ? tensor::dtype_name(compute.dtype)
                                                               : tensor::quantization_name(kind);
  throw EnvironmentError(fmt::format(
      "{} does not fit into {} on {}: weights in {} take {}, keys and values of {} tokens in {} "
      "{}, "
      "a step of {} tokens up to {}; {} are missing (to take less: {})",
      model, bytes(memory), compute.device.str(), kept, bytes(needs.weights), with_commas(tokens),
      tensor::dtype_name(compute.cache_dtype()), bytes(needs.cache), with_commas(load.step_tokens),
      bytes(needs.step), bytes(needs.total() - memory),
      remedies(compute, needs.weights < memory, load.expert_slots.has_value())));
}

}  // namespace foregate::engine
