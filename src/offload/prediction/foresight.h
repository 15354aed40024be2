#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "offload/replay/steps.h"

namespace foregate::offload {

/// An expert that may be chosen.
struct Guess {
  int layer = 0;
  uint16_t expert = 0;
  float probability = 0;
};

/// What foresees the experts of generated tokens while they run. Each call appends the guesses that
/// become possible at its moment; what a predictor may look at by then is its lead
/// (scoring/lead.h). Not for prompts in batches, of which it is only told.
class Foresight {
 public:
  virtual ~Foresight() = default;

  /// A step begins: its tokens are known, and all of the tokens before.
  virtual void at_step(const Step& step, std::vector<Guess>& guesses) = 0;
  /// MoE layer `layer` of the step begins: layers before it are known.
  virtual void at_layer(const Step&, int, std::vector<Guess>&) {}
  /// The router of MoE layer `layer` has decided.
  virtual void at_router(const Step&, int, std::vector<Guess>&) {}
};

/// Knows every expert of the next `depth` layers of a token when a router has decided.
std::unique_ptr<Foresight> make_oracle(const trace::Geometry& geometry, int depth);

struct StandInOptions {
  double recall = 1;     ///< share of the experts needed that are foreseen
  double precision = 1;  ///< share of what is foreseen that is needed; also the probability told
  int lead = 1;          ///< layers between the router that is known and the one foreseen
  uint64_t seed = 0;
};

/// A predictor of given quality. What it foresees rightly is drawn for every expert by itself; how
/// many wrong ones it adds follows from the precision (without recall, as many as are needed), and
/// they are drawn by how often the layer has chosen them so far.
std::unique_ptr<Foresight> make_stand_in(const trace::Geometry& geometry,
                                         const StandInOptions& options);

/// Several at once. Guesses of the same expert: the later one counts.
std::unique_ptr<Foresight> make_foresight_of(std::vector<std::unique_ptr<Foresight>> parts);

}  // namespace foregate::offload
