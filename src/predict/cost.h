#pragma once

#include "predict/predictor.h"

namespace foregate::predict {

/// What scoring one token at all predictable layers takes, in multiply-adds (a look-up in a table
/// of counts is one for each number read). A long text is assumed: all known layers, all earlier
/// tokens of the window.
using CostFunction = double (*)(const Predictor& predictor);

double no_cost(const Predictor& predictor);
double previous_token_cost(const Predictor& predictor);  ///< k numbers a layer
double token_table_cost(const Predictor& predictor);     ///< a row of E a layer
double transition_cost(const Predictor& predictor);      ///< k rows of E for each known layer
double statistics_cost(const Predictor& predictor);      ///< the same, and each piece of evidence
/// Every matrix of the weights is multiplied by once; embeddings are looked up.
double dense_cost(const Predictor& predictor);
/// The same and attention over the window.
double transformer_cost(const Predictor& predictor);

}  // namespace foregate::predict
