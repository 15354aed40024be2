#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/router_spec.h"

namespace foregate::trace {

/// What is added on the way to a decision: see nn::RouterBiases. Empty: nothing.
struct RouterBiasSpans {
  std::span<const float> logit{};   ///< [E]
  std::span<const float> choice{};  ///< [E]
};

/// What a router decides, one token after another, from its logits: the steps that nn/router.h
/// gives. The engine, the control of evaluations, predictors and the C API all decide here. Has
/// scratch: one a thread.
class RouterDecision {
 public:
  /// Everything has been checked (see check_router_spec); spec and biases outlive this.
  RouterDecision(const RouterSpec& spec, const RouterBiasSpans& biases, int64_t num_experts,
                 int64_t top_k);

  void decide(const float* logits,  // [E]
              int64_t* chosen,      // [k], by falling gate weight, equal ones as they rank
              float* gates);        // [k] in the same order

  /// Scores that rank experts as the choice does: its k are the highest, ties by lowest index.
  /// They are the choice scores; those of groups that are not kept are moved below the others.
  void rank(const float* logits,  // [E]
            float* scores);       // [E], may be the logits

 private:
  const float* biased(const float* values, std::span<const float> bias,
                      std::vector<float>& result) const;
  float highest_of(const float* logits) const;
  /// Of softmax or sigmoid, computed in float64.
  const float* scores_of(const float* logits);
  void choose(const float* choice, int64_t* chosen);
  /// Fills in kept_groups_; returns the size of a group.
  int64_t keep_groups(const float* choice);
  float group_score(const float* choice, int64_t first, int64_t size) const;
  void softmax_gates(const float* logits, const int64_t* chosen, float* gates) const;
  void softmax_of_chosen_gates(const float* logits, const int64_t* chosen, float* gates) const;
  void sparsemixer_gates(const float* logits, const int64_t* chosen, float* gates) const;
  void finish(float* gates) const;
  void order_by_gates(int64_t* chosen, float* gates) const;

  const RouterSpec& spec_;
  RouterBiasSpans biases_;
  int64_t num_experts_;
  int64_t top_k_;
  bool ranks_logits_;  ///< logits rank as the scores do, or are the scores
  std::vector<float> biased_logits_;
  std::vector<float> scores_;
  std::vector<float> choice_;
  std::vector<float> group_scores_;
  std::vector<int64_t> kept_groups_;
};

}  // namespace foregate::trace
