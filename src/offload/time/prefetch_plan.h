#pragma once

#include <cstdint>
#include <vector>

#include "offload/prediction/foresight.h"

namespace foregate::offload {

/// Which guesses are worth a transfer.
struct PrefetchRule {
  enum class Kind : uint8_t {
    kThreshold,  ///< at least so probable
    kValue       ///< if what it saves outweighs what it displaces
  };
  Kind kind = Kind::kValue;
  double threshold = 0.5;        ///< of kThreshold
  int depth = 8;                 ///< layers ahead that a prefetch is asked for at most
  int pieces = 8;                ///< of a transfer, between which demand overtakes it
  double predictor_seconds = 0;  ///< the device computes so long at every moment that guesses
};

/// When to fetch what a predictor foresees. Holds guesses until their layer is near; decides by
///   p (1 + u) > u + q
/// where u is the share of time that the link serves demand, which a wrong guess holds up, and q
/// how often what a prefetch evicted was asked for within a token: p x saved > (1 - p) x displaced
/// + the victim's worth, each counted in transfers of one expert. An engine feeds it as a replay
/// does.
class PrefetchPlan {
 public:
  PrefetchPlan(const PrefetchRule& rule, int num_layers);

  /// Takes guesses in; later ones of the same expert replace earlier.
  void add(const std::vector<Guess>& guesses);
  /// Guesses of layers up to `depth` behind `layer` (-1: the step's beginning) that were not
  /// released before and are worth it, by layer, the most probable first.
  const std::vector<Guess>& release(int layer);
  /// Everything is forgotten.
  void end_step();

  /// What the rule goes by: a step took so long, of which the link served demand for so long.
  void observe_step(double seconds, double demand_seconds);
  /// What a prefetch had evicted was asked for soon (or not).
  void observe_victim(bool needed);

  bool worth(double probability) const;

 private:
  PrefetchRule rule_;
  std::vector<std::vector<Guess>> waiting_;  // [L]
  std::vector<Guess> released_;
  double link_share_ = 0.5;
  double victim_worth_ = 0.1;
};

}  // namespace foregate::offload
