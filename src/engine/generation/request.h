#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/generation/sampler.h"
#include "tensor/compute.h"

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

/// All of it, and of where keys and values are kept, that tells which tokens follow a prompt: a
/// resumed run must have the same.
Json settings_json(const GenerationRequest& request, const tensor::Compute& compute);

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

/// What a step runs of one text.
struct StepPart {
  int64_t id = 0;                ///< of its request
  int64_t first = 0;             ///< place of the first of `ids` in prompt and generated text
  std::span<const int32_t> ids;  ///< valid during the call
};

/// Sees texts as they come.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  /// These tokens are run next, in this order. Tokens that were run before come again when their
  /// text had to make room, or the step did not fit into memory.
  virtual void on_step(std::span<const StepPart> /*parts*/) {}
  /// What the model says after them: of every part its next token, [parts, V] float32.
  virtual void on_logits(const torch::Tensor& /*logits*/) {}
  /// More of request `id`'s text, valid UTF-8.
  virtual void on_text(int64_t /*id*/, std::string_view /*text*/) {}
  virtual void on_result(const GenerationResult& result) = 0;
};

}  // namespace foregate::engine
