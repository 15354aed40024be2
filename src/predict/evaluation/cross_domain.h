#pragma once

#include <cstddef>
#include <vector>

#include "predict/evaluation/candidates.h"
#include "predict/evaluation/evaluate.h"
#include "predict/texts/corpus.h"
#include "predict/texts/routed_texts.h"
#include "stats/evaluation/evaluation.h"

namespace foregate::predict {

/// Fits those of the options' predictors that are named and learn on the training texts of each
/// dataset alone and measures recall@k on the test texts of every dataset. One dataset's predictors
/// are in memory at a time. Throws what evaluate() throws.
std::vector<stats::TransferRow> measure_transfers(const EvaluateOptions& options,
                                                  const Corpus& corpus,
                                                  const TextSelection& test_texts,
                                                  const RunContext& run);

/// `transfers` with the rows of the evaluation itself beside them, sorted into matrices: for every
/// predictor and lead that learned from parts, first what learned from all.
/// @param candidates [rows] of `rows`; directories that learned from one dataset count as
/// transfers
std::vector<stats::TransferRow> transfer_matrix_rows(std::vector<stats::TransferRow> transfers,
                                                     const std::vector<Candidate>& candidates,
                                                     const std::vector<stats::EvaluationRow>& rows);

}  // namespace foregate::predict
