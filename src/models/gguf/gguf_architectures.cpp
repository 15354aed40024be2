#include "models/gguf/gguf_architectures.h"

#include <algorithm>
#include <array>

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
};

}  // namespace

const GgufArchitecture& find_gguf_architecture(const GgufHeader& header) {
  const std::string name = header.string(kArchitecture);
  const auto* found = std::ranges::find(kArchitectures, name, &GgufArchitecture::name);
  if (found != kArchitectures.end()) return *found;
  std::string supported;
  for (const GgufArchitecture& known : kArchitectures) {
    supported += (supported.empty() ? "" : ", ") + std::string(known.name);
  }
  header.fail(kArchitecture, "one that is supported: " + supported);
}

}  // namespace foregate::models
