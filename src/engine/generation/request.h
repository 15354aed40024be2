#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/generation/sampler.h"

namespace foregate::engine {

/// A prompt and how it is to be continued.
struct GenerationRequest {
  int64_t id = 0;               ///< the caller's, given back with the result
  std::vector<int32_t> prompt;  ///< not empty
  SamplingSettings sampling;
  uint64_t seed = 0;
  uint64_t stream = 0;  ///< which of the seed's streams of random numbers
  int64_t max_tokens = 0;
  std::vector<int32_t> stop_ids;          ///< end the text; the last of its ids, not of its text
  std::vector<std::string> stop_strings;  ///< end the text in front of them
  int64_t logprobs = -1;                  ///< with so many alternatives; -1: none
};

enum class FinishReason : uint8_t {
  kLength,  ///< max_tokens or the context limit
  kStop,    ///< a stop id or a stop string
  kInterrupted,
};
const char* finish_reason_name(FinishReason reason);

struct GenerationResult {
  int64_t id = 0;
  int64_t prompt_tokens = 0;
  std::vector<int32_t> ids;  ///< generated
  std::string text;          ///< of them, up to where it stopped
  FinishReason finish_reason = FinishReason::kLength;
  std::string stop_string;  ///< that ended it, if one did
  std::vector<TokenLogprobs> logprobs;
  double seconds_to_first_token = 0;  ///< from when the request was taken up
};

/// Sees texts as they come.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  /// More of request `id`'s text, valid UTF-8.
  virtual void on_text(int64_t /*id*/, std::string_view /*text*/) {}
  virtual void on_result(const GenerationResult& result) = 0;
};

}  // namespace foregate::engine
