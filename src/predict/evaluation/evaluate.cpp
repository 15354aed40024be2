#include "predict/evaluation/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "predict/counting/routing_counts.h"
#include "predict/evaluation/candidates.h"
#include "predict/evaluation/control.h"
#include "predict/evaluation/cross_domain.h"
#include "predict/evaluation/example_texts.h"
#include "predict/evaluation/predictor_evaluator.h"
#include "predict/evaluation/text_queue.h"
#include "predict/fit_inputs.h"
#include "predict/texts/corpus.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "stats/evaluation/pareto_front.h"

namespace foregate::predict {
namespace {

/// The same texts for everybody: with hidden states if anybody reads them.
TextSelection select_texts(const EvaluateOptions& options, const Corpus& corpus,
                           const std::vector<Candidate>& candidates) {
  using Features = TextSelection::Features;
  const bool required =
      std::any_of(candidates.begin(), candidates.end(),
                  [](const Candidate& candidate) { return candidate.predictor->needs_features(); });
  TextSelection selection;
  if (!options.all_texts) selection.split = trace::Split::kTest;
  selection.features = required ? Features::kRequire : Features::kAttach;
  selection.gate_weights = true;
  if (corpus.count(selection) > 0) return selection;
  throw DataError(fmt::format("{}: there is no {}text{} to evaluate on; collect more{}",
                              corpus.path().string(), options.all_texts ? "" : "test ",
                              required ? " with features" : "",
                              options.all_texts ? "" : ", or take every text with --split all"));
}

void fit_named(std::vector<Candidate>& candidates, const EvaluateOptions& options,
               const Corpus& corpus, const RunContext& run) {
  SharedCounts counts(corpus);
  TrainingEnvironment environment;
  environment.seed = options.seed;
  for (const Candidate& candidate : candidates) {
    if (!candidate.to_fit) continue;
    run.log.debug("fitting {} at {}", candidate.label,
                  scoring::lead_name(candidate.predictor->lead()));
    candidate.predictor->fit(
        {.corpus = corpus, .counts = counts, .environment = environment, .run = run});
  }
  // What they learned from, to label what is not held out.
  if (!options.all_texts) return;
  const std::vector<uint64_t> hashes = hashes_learned_from(corpus);
  const std::unordered_set<uint64_t> seen(hashes.begin(), hashes.end());
  for (Candidate& candidate : candidates) {
    if (candidate.to_fit) candidate.seen_texts = seen;
  }
}

/// A directory's own, which is what others use who load it; else fitted on the validation texts.
scoring::Calibration calibration_of(const Candidate& candidate, const Corpus& corpus) {
  if (candidate.calibration) return *candidate.calibration;
  return fit_calibrations({candidate.predictor.get()}, corpus)
      .front()
      .value_or(scoring::Calibration{});
}

/// Scores of all candidates and the control over the texts, gathered in one pass.
class EvaluationRun {
 public:
  EvaluationRun(const std::vector<Candidate>& candidates, const Corpus& corpus,
                const EvaluateOptions& options)
      : candidates_(candidates), seen_(candidates.size()) {
    for (const Candidate& candidate : candidates) {
      evaluators_.emplace_back(*candidate.predictor, candidate.label,
                               calibration_of(candidate, corpus), options.budgets,
                               options.threshold);
    }
    if (options.examples > 0) examples_.emplace(candidates, options.examples);
    if (corpus.routers()) control_.emplace(*corpus.routers());
    queue_.emplace(evaluators_, options.device);
  }

  void add(const RoutedText& text) {
    if (text.num_tokens() == 0) return;
    if (control_) control_->add(text);
    if (examples_) examples_->add(text);
    queue_->add(text);
    for (size_t i = 0; i < candidates_.size(); ++i) {
      const Candidate& candidate = candidates_[i];
      if (candidate.learns && candidate.seen_texts.contains(text.hash)) ++seen_[i];
    }
  }

  /// After the last text.
  void finish() { queue_->flush(); }

  void fill(stats::Evaluation& evaluation, uint64_t seed) const {
    for (size_t i = 0; i < evaluators_.size(); ++i) {
      stats::EvaluationRow& row = evaluation.rows.emplace_back(evaluators_[i].summarize(seed));
      row.learned_texts = seen_[i];
      row.kept_start = candidates_[i].kept_start;
    }
    add_gains(evaluation, seed);
    stats::mark_fronts(evaluation.rows, evaluation.top_k);
    if (examples_) evaluation.examples = examples_->texts();
    evaluation.has_control = control_ && control_->decisions() > 0;
    if (!evaluation.has_control) return;
    control_->require_perfect(evaluation.trace);
    evaluation.control_decisions = control_->decisions();
    evaluation.control_matches = control_->matches();
  }

 private:
  /// Compares every row with the best untrained one of its lead.
  void add_gains(stats::Evaluation& evaluation, uint64_t seed) const {
    const auto recall = [&](size_t i) { return evaluation.rows[i].recall(evaluation.top_k); };
    for (size_t i = 0; i < evaluators_.size(); ++i) {
      size_t best = evaluators_.size();
      for (size_t j = 0; j < evaluators_.size(); ++j) {
        if (candidates_[j].trained || evaluation.rows[j].lead != evaluation.rows[i].lead) continue;
        if (best == evaluators_.size() || recall(j) > recall(best)) best = j;
      }
      if (best == evaluators_.size() || best == i) continue;
      evaluation.rows[i].baseline = evaluation.rows[best].predictor;
      evaluation.rows[i].gain = evaluators_[i].gain_over(evaluators_[best], seed);
    }
  }

  const std::vector<Candidate>& candidates_;
  std::vector<PredictorEvaluator> evaluators_;
  std::optional<TextQueue> queue_;
  std::vector<int64_t> seen_;
  std::optional<OwnRouterControl> control_;
  std::optional<ExampleTexts> examples_;
};

}  // namespace

stats::Evaluation evaluate(const EvaluateOptions& options, const RunContext& run) {
  Corpus corpus(options.traces, options.held_out, run.stop);
  for (const int budget : options.budgets) {
    const int experts = corpus.geometry().num_experts;
    if (budget >= 1 && budget <= experts) continue;
    throw UsageError(
        fmt::format("--budget is {}; expected 1 to the model's {} experts", budget, experts));
  }
  if (options.routers) corpus.take_routers_of_model(*options.routers);
  std::vector<Candidate> candidates = choose_candidates(options, corpus);
  const TextSelection selection = select_texts(options, corpus, candidates);
  fit_named(candidates, options, corpus, run);
  for (const Candidate& candidate : candidates) candidate.predictor->run_on(options.device);

  EvaluationRun scores(candidates, corpus, options);
  const auto progress = run.progress.start(
      {.label = "evaluating", .unit = "texts", .total = corpus.count(selection)});
  int64_t done = 0;
  corpus.for_each(selection, [&](const RoutedText& text) {
    scores.add(text);
    progress->update(++done);
  });
  scores.finish();
  progress->finish();

  stats::Evaluation evaluation;
  evaluation.trace = options.traces.string();
  evaluation.model = corpus.manifest().model;
  evaluation.split = options.all_texts ? "all" : "test";
  if (!options.held_out.empty()) evaluation.split = "held-out " + options.held_out;
  evaluation.device = options.device.str();
  evaluation.num_experts = corpus.geometry().num_experts;
  evaluation.top_k = corpus.geometry().top_k;
  evaluation.num_moe_layers = corpus.geometry().num_moe_layers;
  scores.fill(evaluation, options.seed);
  std::vector<stats::TransferRow> transfers;
  if (options.cross_domain) transfers = measure_transfers(options, corpus, selection, run);
  evaluation.transfers = transfer_matrix_rows(std::move(transfers), candidates, evaluation.rows);
  return evaluation;
}

}  // namespace foregate::predict
