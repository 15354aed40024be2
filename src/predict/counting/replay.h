#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "predict/texts/routed_text.h"
#include "scoring/counting/mixture_scorer.h"
#include "scoring/scorer.h"

namespace foregate::predict {

/// What a scorer that reads no hidden states says while it is told a text as an engine would tell
/// it: token by token, and of the current token what the lead allows. -> [n, L', E] float32
torch::Tensor replay(const scoring::Scorer& scorer, const RoutedText& text);

/// What the terms of a mixture say at one MoE layer, of all tokens of some texts one after the
/// other. -> [F, n, E] float32
torch::Tensor replay_evidence(const scoring::MixtureScorer& scorer,
                              const std::vector<RoutedText>& texts, int64_t layer);

}  // namespace foregate::predict
