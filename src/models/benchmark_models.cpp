#include "models/benchmark_models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "base/error.h"

namespace foregate::models {
namespace {

struct BenchmarkModel {
  const char* name;
  const char* config;
};

constexpr std::array kBenchmarkModels = {
    BenchmarkModel{"qwen1.5-moe-a2.7b", R"({
  "model_type": "qwen2_moe", "vocab_size": 151936, "hidden_size": 2048, "hidden_act": "silu",
  "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 16,
  "max_position_embeddings": 8192, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "use_sliding_window": false, "tie_word_embeddings": false, "intermediate_size": 5632,
  "decoder_sparse_step": 1, "moe_intermediate_size": 1408,
  "shared_expert_intermediate_size": 5632, "num_experts": 60, "num_experts_per_tok": 4,
  "norm_topk_prob": false
})"},
    // The same in small, for trying the benchmark where there is no GPU.
    BenchmarkModel{"tiny", R"({
  "model_type": "qwen2_moe", "vocab_size": 16000, "hidden_size": 64, "hidden_act": "silu",
  "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
  "max_position_embeddings": 8192, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "use_sliding_window": false, "tie_word_embeddings": false, "intermediate_size": 176,
  "decoder_sparse_step": 1, "moe_intermediate_size": 48,
  "shared_expert_intermediate_size": 176, "num_experts": 60, "num_experts_per_tok": 4,
  "norm_topk_prob": false
})"},
};

}  // namespace

std::string benchmark_config(const std::string& name) {
  for (const BenchmarkModel& model : kBenchmarkModels) {
    if (model.name == name) return model.config;
  }
  throw UsageError(fmt::format("there is no geometry \"{}\"; expected one of {}", name,
                               fmt::join(benchmark_model_names(), ", ")));
}

std::vector<std::string> benchmark_model_names() {
  std::vector<std::string> names;
  for (const BenchmarkModel& model : kBenchmarkModels) names.emplace_back(model.name);
  return names;
}

}  // namespace foregate::models
