#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "engine/generation/defaults.h"
#include "engine/generation/request.h"

namespace CLI {
class App;
}

namespace foregate {

/// How tokens are chosen, as the command line says it; what it does not say is the model's.
struct SamplingArguments {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k;
  std::optional<double> presence_penalty, frequency_penalty;
  std::vector<std::string> logit_bias;  ///< ID=VALUE
  bool ignore_eos = false;

  bool any() const;  ///< whether it says anything
};

/// How texts are continued.
struct GenerationArguments {
  SamplingArguments sampling;
  std::optional<int64_t> max_tokens;
  std::vector<std::string> stop;
  std::vector<int> stop_ids;
  std::optional<int64_t> logprobs;
  uint64_t seed = 0;
};

inline constexpr int64_t kDefaultMaxTokens = 256;

void add_sampling_options(CLI::App& command, SamplingArguments& arguments);
void add_generation_options(CLI::App& command, GenerationArguments& arguments);

/// generation_config.json of the model. Says what of it is not implemented.
engine::GenerationDefaults read_defaults(const std::filesystem::path& model, Logger& log);

/// A request without a prompt, as the arguments and, where they are silent, the model's defaults
/// have it: its sampling, and where the model ends a text. Throws UsageError.
engine::GenerationRequest parse_sampling(const SamplingArguments& arguments,
                                         const engine::GenerationDefaults& defaults,
                                         int64_t vocab_size);
/// All of it.
engine::GenerationRequest parse_generation(const GenerationArguments& arguments,
                                           const engine::GenerationDefaults& defaults,
                                           int64_t vocab_size);

}  // namespace foregate
