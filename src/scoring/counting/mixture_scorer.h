#pragma once

#include <cstdint>
#include <vector>

#include "scoring/scorer.h"
#include "scoring/weights.h"

namespace foregate::scoring {

/// Base of the log-linear mixtures,
///   score(e) = sum over terms i: mixture(layer, i) * evidence(i, e)
/// added in the order of the terms. Fitting the mixture asks for the same evidence.
class MixtureScorer : public SingleScorer {
 public:
  using SingleScorer::SingleScorer;

  int64_t num_terms() const { return num_terms_; }  // F
  /// What each term says of each expert for the current token at one MoE layer. -> out [F][E]
  virtual void evidence(const Sequence& sequence, int64_t layer, float* out) const = 0;

 protected:
  /// Takes "mixture" for so many terms. Throws DataError.
  void set_mixture(const Weights& weights, int64_t num_terms);

 private:
  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override;

  int64_t num_terms_ = 0;
  const float* mixture_ = nullptr;  // [L'][F]
};

/// F at a lead, with tensors that relate each layer to `window` earlier ones.
int64_t num_statistics_terms(const trace::Geometry& geometry, const Lead& lead, int64_t window);
int64_t num_transition_terms(const trace::Geometry& geometry, const Lead& lead, int64_t window);
/// Of those of `transition`, the ones in front that know of single experts; the rest are paths'.
int64_t num_single_expert_terms(const trace::Geometry& geometry, const Lead& lead, int64_t window);

/// log of each of some probabilities.
std::vector<float> safe_logs(const float* probabilities, int64_t size);
/// out[e] = sum over the experts a of table[a][e].
void sum_rows(const float* table,  // [E][width]
              std::span<const uint16_t> experts, int64_t width, float* out);

}  // namespace foregate::scoring
