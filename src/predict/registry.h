#pragma once

#include <memory>
#include <string>
#include <vector>

#include "predict/cost.h"
#include "predict/predictor.h"
#include "scoring/kinds.h"

namespace foregate::predict {

/// One kind of predictor: what the scoring core knows of it, and how it is made and fitted. A new
/// one is a line in registry.cpp and one in scoring/kinds.cpp.
struct PredictorKind : scoring::Kind {
  const char* summary;  ///< half a sentence for help texts
  bool learns;          ///< from the training texts, by counting or by gradient descent
  bool trained;         ///< by gradient descent, that is, by `foregate train` and not on the spot
  std::unique_ptr<Predictor> (*make)(const char* name, scoring::Lead lead,
                                     const trace::Geometry& geometry, const JsonReader& settings);
  CostFunction cost;
};

const std::vector<PredictorKind>& predictor_kinds();
/// Names of all predictors, in the order of the registry.
std::vector<std::string> predictor_names();
/// nullptr if there is none of that name.
const PredictorKind* find_predictor_kind(const std::string& name);

/// A predictor that has learned nothing yet. `settings` may leave out anything. Throws UsageError
/// for an unknown name, a lead the predictor or the model does not have, or a setting that is not
/// known.
std::unique_ptr<Predictor> make_predictor(const std::string& name, const scoring::Lead& lead,
                                          const trace::Geometry& geometry,
                                          const JsonReader& settings);
/// The same with all settings at their defaults.
std::unique_ptr<Predictor> make_predictor(const std::string& name, const scoring::Lead& lead,
                                          const trace::Geometry& geometry);

}  // namespace foregate::predict
