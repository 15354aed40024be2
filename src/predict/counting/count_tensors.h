#pragma once

#include "predict/predictor.h"

namespace foregate::predict {

// What the counting predictors learn: for each kind the tensors of docs/c-api.md, which the scoring
// core turns into scores. Mixtures start from the weights that are right if nothing is fitted.

/// `random`: the floor under every other predictor; recall@m is m / E. Any lead.
NamedTensors random_tensors(const FitInputs& inputs, const Predictor& predictor);

/// `frequency`: how often the training texts chose each expert of the layer. Any lead.
/// `previous-token`: the experts the token before chose at the layer, the rest by frequency. A
/// text's first token has none before it and gets the frequency alone. next-token.
NamedTensors frequency_tensors(const FitInputs& inputs, const Predictor& predictor);

/// `token-table`: P(e | id) by counts, backed off to the frequency. next-token.
NamedTensors token_table_tensors(const FitInputs& inputs, const Predictor& predictor);

/// `transition`: expert-to-expert co-activation between MoE layers, combined over the decisions
/// known, with e(b | a) = log P(b | a at j) - log frequency(b) for the layers j = l-h, l-h-1, ...
/// up to RoutingCounts::kWindow in front of l. All weights at one would be naive Bayes, which
/// counts what the layers repeat as if it were new. Paths know what adding up single experts
/// cannot: what tokens chose after both experts of a layer, and after those of two or three layers
/// together. layer-h.
NamedTensors transition_tensors(const FitInputs& inputs, const Predictor& predictor);

/// `statistics`: a mixture of what counting knows: the frequency, the token's id (as any choice and
/// as first choice), the id before, the experts of the token before, the text so far (all tokens,
/// those of the same id, those of the same id after the same id), training tokens of the same id
/// after the same id, and, at layer-h, the experts of each known earlier layer and the paths
/// through them. next-token, layer-h.
NamedTensors statistics_tensors(const FitInputs& inputs, const Predictor& predictor);

}  // namespace foregate::predict
