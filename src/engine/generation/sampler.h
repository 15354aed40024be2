#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"

namespace foregate::engine {

/// How the next token is chosen from a model's logits. What is 0, 1 or empty as below changes
/// nothing.
struct SamplingSettings {
  double temperature = 0;         ///< 0: greedy, the likeliest token
  int64_t top_k = 0;              ///< only so many likeliest tokens; 0: all
  double top_p = 1;               ///< only the likeliest that together have this probability
  double min_p = 0;               ///< only those at least so likely, relative to the likeliest
  double repetition_penalty = 1;  ///< divides (negative: multiplies) logits of tokens that occurred
  double presence_penalty = 0;    ///< off logits of tokens that were generated
  double frequency_penalty = 0;   ///< off them for each time that they were
  std::map<int32_t, double> logit_bias{};  ///< added first

  bool operator==(const SamplingSettings&) const = default;
};

/// Throws UsageError for a value that means nothing. `where` stands before it in the message.
void check_sampling(const SamplingSettings& settings, int64_t vocab_size, const std::string& where);

/// The tokens that may come next.
struct Candidates {
  std::vector<int32_t> ids;          ///< ascending
  std::vector<float> probabilities;  ///< of each; they sum up to 1
};

/// Chooses the tokens of one sequence. Processes logits in transformers' order: bias; penalty of
/// repetition (Keskar et al. 2019), of presence and frequency; temperature; top-k (ties stay, too);
/// top-p (Holtzman et al. 2020); min-p (Nguyen et al. 2024).
///
/// Random numbers are counted: the n-th token of a sequence is drawn with a number that follows
/// from seed, stream and n alone, and candidates have their places by id. So the text does not
/// depend on what else is in a batch, save for rounding.
class Sampler {
 public:
  Sampler(SamplingSettings settings, uint64_t seed, uint64_t stream,
          std::span<const int32_t> prompt);

  /// Throws DataError if logits are not numbers.
  Candidates candidates(std::span<const float> logits) const;  // [V]
  /// Whether next() chooses the first of the largest logits, whatever they are.
  bool is_plainly_greedy() const;
  /// Takes a choice of is_plainly_greedy() into account.
  void accept(int32_t id);
  /// Chooses, and takes the choice into account from now on.
  int32_t next(std::span<const float> logits);  // [V]

 private:
  std::vector<float> penalized(std::span<const float> logits) const;

  SamplingSettings settings_;
  Random random_;
  uint64_t chosen_ = 0;
  std::unordered_map<int32_t, int64_t> seen_;       ///< in prompt and generated text
  std::unordered_map<int32_t, int64_t> generated_;  ///< how often
};

/// What the model itself said of a token that was chosen, before any processing.
struct TokenLogprobs {
  struct Entry {
    int32_t id = 0;
    float logprob = 0;
  };
  Entry chosen;
  std::vector<Entry> top;  ///< the likeliest, best first
};

TokenLogprobs logprobs_of(std::span<const float> logits, int32_t chosen, int64_t top);

}  // namespace foregate::engine
