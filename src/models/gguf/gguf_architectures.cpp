#include "models/gguf/gguf_architectures.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

namespace foregate::models {
namespace {

constexpr const char* kArchitecture = "general.architecture";

// https://github.com/ggml-org/llama.cpp: gguf-py/gguf/constants.py has the names, conversion/ tells
// which rows are reordered, src/models/ what is divided by its sum.
constexpr std::array kArchitectures = {
    GgufArchitecture{.name = "qwen2moe", .model_type = "qwen2_moe"},
    GgufArchitecture{.name = "qwen3moe", .model_type = "qwen3_moe", .norm_topk = true},
    GgufArchitecture{.name = "llama", .model_type = "mixtral", .paired_heads = true},
    GgufArchitecture{.name = "olmoe", .model_type = "olmoe"},
    GgufArchitecture{.name = "deepseek", .model_type = "deepseek", .paired_heads = true},
    GgufArchitecture{.name = "deepseek2", .model_type = "deepseek_v2"},
    // Kimi-K2 and GLM-4.7-Flash, too.
    GgufArchitecture{.name = "deepseek2", .model_type = "deepseek_v3", .gating = kSigmoidGating},
    GgufArchitecture{.name = "gpt-oss",
                     .model_type = "gpt_oss",
                     .gating = kSoftmaxOfChosenGating,
                     .exact_yarn = true},
};

const GgufArchitecture& by_name(const GgufHeader& header) {
  const std::string name = header.string(kArchitecture);
  const auto* found = std::ranges::find(kArchitectures, name, &GgufArchitecture::name);
  if (found != kArchitectures.end()) return *found;
  std::set<std::string_view> supported;
  for (const GgufArchitecture& known : kArchitectures) supported.insert(known.name);
  header.fail(kArchitecture, fmt::format("one that is supported: {}", fmt::join(supported, ", ")));
}

}  // namespace

const GgufArchitecture& find_gguf_architecture(const GgufHeader& header) {
  const GgufArchitecture& first = by_name(header);
  const std::string key = fmt::format("{}.expert_gating_func", first.name);
  // Zero means that nothing is said, as its absence does.
  const int64_t gating = header.integer(key, 0, INT32_MAX, 0);
  if (gating == 0) return first;
  std::set<int64_t> supported;
  for (const GgufArchitecture& known : kArchitectures) {
    if (known.name != first.name) continue;
    if (known.gating == gating) return known;
    supported.insert(known.gating);
  }
  header.fail(key, fmt::format("{} (1: softmax, 2: sigmoid, 3: softmax of the chosen experts)",
                               fmt::join(supported, " or ")));
}

}  // namespace foregate::models
