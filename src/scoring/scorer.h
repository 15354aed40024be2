#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "scoring/predictor_format.h"
#include "scoring/sequence.h"

namespace foregate::scoring {

/// What a predictor remembers of a sequence beyond its History.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void reset() = 0;
  /// Called after a token was begun, which is the history's current one.
  virtual void begin_token(const History& history) = 0;
};

class Scorer;

/// One sequence, as a scorer sees it.
struct Sequence {
  /// Without tokens, keeping what the scorer looks at.
  explicit Sequence(const Scorer& scorer);

  /// Back to a sequence without tokens.
  void reset();
  void begin_token(int32_t id);

  History history;
  std::unique_ptr<Memory> memory;  ///< null if the scorer makes none
};

/// What a trained predictor computes when it runs; docs/predictors.md has the ideas, docs/c-api.md
/// formulas and tensors. Never changes once made.
class Scorer {
 public:
  explicit Scorer(PredictorIdentity identity) : identity_(std::move(identity)) {}
  virtual ~Scorer() = default;
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  const PredictorIdentity& identity() const { return identity_; }
  const trace::Geometry& geometry() const { return identity_.geometry; }
  int64_t first_layer() const { return identity_.lead.first_layer(); }
  /// Sizes, for indexing.
  int64_t num_layers() const { return geometry().num_moe_layers; }
  int64_t num_experts() const { return geometry().num_experts; }

  virtual Needs needs() const = 0;
  virtual std::unique_ptr<Memory> make_memory() const { return nullptr; }

  /// Scores of all experts for the current token of each sequence, which has one, at one MoE layer
  /// of first_layer() and up. -> scores [sequences][E]. Throws NotObservedError.
  virtual void score(std::span<const Sequence* const> sequences, int64_t layer,
                     float* scores) const = 0;

 private:
  PredictorIdentity identity_;
};

/// Base of those that gain nothing from seeing several sequences at once.
class SingleScorer : public Scorer {
 public:
  using Scorer::Scorer;

  void score(std::span<const Sequence* const> sequences, int64_t layer, float* scores) const final {
    for (const Sequence* sequence : sequences) {
      score_one(*sequence, layer, scores);
      scores += num_experts();
    }
  }

 private:
  virtual void score_one(const Sequence& sequence, int64_t layer,
                         float* scores) const = 0;  // [E]
};

}  // namespace foregate::scoring
