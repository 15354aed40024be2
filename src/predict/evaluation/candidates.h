#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "predict/evaluation/evaluate.h"
#include "predict/predictor.h"
#include "predict/texts/corpus.h"
#include "scoring/predictor_format.h"

namespace foregate::predict {

/// One line of an evaluation: a predictor at a lead, ready to score.
struct Candidate {
  std::string label;  ///< name or directory, as asked for
  std::unique_ptr<Predictor> predictor;
  bool to_fit = false;  ///< given by name: learns from this trace's training split
  bool learns = false;
  bool trained = false;                     ///< by gradient: no baseline for others
  std::string learned_from;                 ///< the only dataset it learned from; empty: all
  std::unordered_set<uint64_t> seen_texts;  ///< of a directory: what it learned from
  bool kept_start = false;  ///< of a directory: no step of its training was better than its start
  std::optional<scoring::Calibration> calibration;  ///< of a directory: what it holds
};

/// What the options ask for, checked against the trace; not fitted yet. Sorted by lead.
std::vector<Candidate> choose_candidates(const EvaluateOptions& options, const Corpus& corpus);

}  // namespace foregate::predict
