#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "scoring/scorer.h"
#include "scoring/sequence.h"

namespace foregate::scoring {

/// Counts over the tokens of a sequence before its current one, for `statistics`.
class TextMemory : public Memory {
 public:
  explicit TextMemory(const trace::Geometry& geometry);

  void reset() override;
  void begin_token(const History& history) override;

  /// Throws NotObservedError if an earlier token's routing at the layer was not given.
  void require_complete(int64_t layer) const;
  /// Every earlier token, d places back counted .97^(d-1): how often each expert was chosen, and
  /// what the tokens themselves count.
  std::span<const float> all_experts(int64_t layer) const;  // [E]
  float all_tokens() const { return all_tokens_; }
  /// Earlier tokens of the same id, or of the same id after the same id. -> out [E]; returns how
  /// many there are.
  int64_t count_same_id(const History& history, int64_t layer, float* out) const;
  int64_t count_same_pair(const History& history, int64_t layer, float* out) const;

 private:
  void add_routing(const History& history, int64_t token);
  int64_t count(const std::vector<int64_t>& latest, const History& history, int64_t layer,
                float* out) const;

  int64_t num_layers_;
  int64_t num_experts_;
  float all_tokens_ = 0;
  std::vector<float> all_experts_;  // [L][E]
  std::vector<int64_t> missing_;    // [L] the first token without routing; -1 if there is none
  std::unordered_map<int64_t, int64_t> ids_, pairs_;  // the latest token of each
  std::vector<int64_t> same_id_, same_pair_;  // [n] the token before with the same; -1 if none
};

}  // namespace foregate::scoring
