#include "predict/evaluation/cross_domain.h"

#include <algorithm>
#include <tuple>

#include "predict/counting/routing_counts.h"
#include "predict/evaluation/predictor_evaluator.h"
#include "predict/evaluation/text_queue.h"
#include "predict/fit_inputs.h"
#include "predict/registry.h"
#include "predict/texts/dataset_texts.h"
#include "predict/texts/routed_text.h"

namespace foregate::predict {
namespace {

EvaluateOptions only_named_learners(EvaluateOptions options, const Corpus& corpus) {
  std::vector<std::string> asked = options.predictors;
  if (asked.empty()) {
    for (const Candidate& candidate : choose_candidates(options, corpus)) {
      if (std::find(asked.begin(), asked.end(), candidate.label) == asked.end())
        asked.push_back(candidate.label);
    }
  }
  std::erase_if(asked, [](const std::string& name) {
    const PredictorKind* kind = find_predictor_kind(name);
    return kind == nullptr || !kind->learns;
  });
  options.predictors = std::move(asked);
  return options;
}

}  // namespace

std::vector<stats::TransferRow> measure_transfers(const EvaluateOptions& options,
                                                  const Corpus& corpus,
                                                  const TextSelection& test_texts,
                                                  const RunContext& run) {
  std::vector<stats::TransferRow> transfers;
  const EvaluateOptions learners = only_named_learners(options, corpus);
  if (learners.predictors.empty()) return transfers;
  const auto& datasets = corpus.manifest().datasets;
  const int top_k = corpus.geometry().top_k;
  const auto progress = run.progress.start({.label = "cross-domain",
                                            .unit = "datasets",
                                            .total = static_cast<int64_t>(datasets.size())});
  for (const trace::DatasetEntry& dataset : datasets) {
    const DatasetTexts texts(corpus, dataset.name);
    std::vector<Candidate> candidates = choose_candidates(learners, corpus);
    SharedCounts counts(texts);
    TrainingEnvironment environment;
    environment.seed = options.seed;
    std::vector<PredictorEvaluator> evaluators;
    for (const Candidate& candidate : candidates) {
      candidate.predictor->fit(
          {.corpus = texts, .counts = counts, .environment = environment, .run = run});
      evaluators.emplace_back(*candidate.predictor, candidate.label);
    }
    TextQueue queue(evaluators, torch::kCPU);
    corpus.for_each(test_texts, [&](const RoutedText& text) { queue.add(text); });
    queue.flush();
    for (const PredictorEvaluator& evaluator : evaluators) {
      const stats::EvaluationRow row = evaluator.summarize(options.seed);
      transfers.push_back({row.predictor, row.lead, dataset.name, row.recall_by_dataset(top_k)});
    }
    progress->update(&dataset - datasets.data() + 1);
  }
  progress->finish();
  return transfers;
}

std::vector<stats::TransferRow> transfer_matrix_rows(
    std::vector<stats::TransferRow> transfers, const std::vector<Candidate>& candidates,
    const std::vector<stats::EvaluationRow>& rows) {
  const auto add = [&](size_t i) {
    const Candidate& candidate = candidates[i];
    transfers.push_back({candidate.predictor->name(), rows[i].lead, candidate.learned_from,
                         rows[i].recall_by_dataset(candidate.predictor->geometry().top_k)});
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!candidates[i].learned_from.empty()) add(i);
  }
  const std::vector<stats::TransferRow> parts = transfers;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool wanted =
        std::any_of(parts.begin(), parts.end(), [&](const stats::TransferRow& part) {
          return part.predictor == candidates[i].predictor->name() && part.lead == rows[i].lead;
        });
    if (wanted && candidates[i].learned_from.empty()) add(i);
  }
  // By lead in the evaluation's order, then predictor, then what was learned from; all first.
  const auto place_of = [&](const stats::TransferRow& row) {
    return std::find_if(rows.begin(), rows.end(),
                        [&](const stats::EvaluationRow& other) { return other.lead == row.lead; }) -
           rows.begin();
  };
  const auto key = [&](const stats::TransferRow& row) {
    return std::tuple(place_of(row), row.predictor, row.learned_from);
  };
  std::stable_sort(transfers.begin(), transfers.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return transfers;
}

}  // namespace foregate::predict
