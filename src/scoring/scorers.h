#pragma once

#include <memory>

#include "scoring/scorer.h"
#include "scoring/weights.h"

namespace foregate::scoring {

// One function a predictor, each in the source file of its name. All take their tensors out of the
// weights, which live as long as the scorer does, and throw DataError if these do not fit.

std::unique_ptr<Scorer> make_random_scorer(PredictorIdentity identity, const Weights& weights);
std::unique_ptr<Scorer> make_frequency_scorer(PredictorIdentity identity, const Weights& weights);
std::unique_ptr<Scorer> make_previous_token_scorer(PredictorIdentity identity,
                                                   const Weights& weights);
std::unique_ptr<Scorer> make_token_table_scorer(PredictorIdentity identity, const Weights& weights);
std::unique_ptr<Scorer> make_transition_scorer(PredictorIdentity identity, const Weights& weights);
std::unique_ptr<Scorer> make_statistics_scorer(PredictorIdentity identity, const Weights& weights);
/// Also takes how the routers choose out of the predictor's settings.
std::unique_ptr<Scorer> make_next_gate_scorer(PredictorIdentity identity, const Weights& weights,
                                              const JsonReader& settings);
std::unique_ptr<Scorer> make_gate_adapter_scorer(PredictorIdentity identity,
                                                 const Weights& weights);
std::unique_ptr<Scorer> make_gate_mlp_scorer(PredictorIdentity identity, const Weights& weights);
std::unique_ptr<Scorer> make_mlp_scorer(PredictorIdentity identity, const Weights& weights);
/// Also takes "heads", "context" and so on out of the predictor's settings.
std::unique_ptr<Scorer> make_transformer_scorer(PredictorIdentity identity, const Weights& weights,
                                                const JsonReader& settings);

}  // namespace foregate::scoring
