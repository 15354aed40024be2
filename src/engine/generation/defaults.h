#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/generation/sampler.h"

namespace foregate::engine {

/// How a model's publisher wants it to be run: generation_config.json, and the end of a text as
/// config.json (or a GGUF file) tells it where that file does not.
struct GenerationDefaults {
  SamplingSettings sampling;             ///< greedy unless do_sample
  std::vector<int32_t> eos_ids;          ///< end of a text; may be several
  std::optional<int64_t> max_tokens;     ///< max_new_tokens
  std::vector<std::string> passed_over;  ///< "num_beams 4": settings that are not implemented
};

/// Files that are not there say nothing. Throws DataError for values that mean nothing.
GenerationDefaults read_generation_defaults(const std::filesystem::path& model);

}  // namespace foregate::engine
