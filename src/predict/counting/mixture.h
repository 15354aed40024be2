#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "predict/texts/routed_texts.h"

namespace foregate::predict {

/// The weights of a log-linear mixture, softmax(sum over i of weights[i] * evidence[i]), that give
/// the chosen experts the highest likelihood. Convex; found by Newton's method from `start`, to
/// which a slight ridge pulls. `first` says how often the highest-ranked expert counts: the
/// likelihood of the set alone does not care which of the chosen ones ranks first, and would give
/// up a good share of top-1 for nothing.
torch::Tensor fit_log_linear(const torch::Tensor& evidence,  // [F, n, E] float32
                             const torch::Tensor& experts,   // [n, k] int64, ranked
                             const torch::Tensor& start,     // [F] float32
                             double first = 2);              // -> [F] float32

/// Visits whole validation texts to fit a few dozen weights on, 16,384 tokens in all or so.
void visit_validation(const RoutedTexts& corpus, uint64_t seed, TextSelection::Features features,
                      const std::function<void(const RoutedText&)>& visit);
/// How many tokens, or so.
double validation_tokens(const RoutedTexts& corpus, TextSelection::Features features);
/// These texts, without hidden states.
std::vector<RoutedText> sample_validation(const RoutedTexts& corpus, uint64_t seed);

}  // namespace foregate::predict
