#include "predict/evaluation/candidates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/file_digest.h"
#include "base/files.h"
#include "predict/predictor_store.h"
#include "predict/registry.h"
#include "predict/texts/routed_texts.h"
#include "trace/geometry.h"

namespace foregate::predict {
namespace {

/// The leads of an evaluation that names none.
std::vector<scoring::Lead> usual_leads(const Corpus& corpus) {
  std::vector<scoring::Lead> leads = {scoring::Lead::next_token()};
  for (const int h : {1, 2}) {
    if (h < corpus.geometry().num_moe_layers) leads.push_back(scoring::Lead::layer(h));
  }
  if (corpus.has_features()) leads.push_back(scoring::Lead::pre_attention());
  return leads;
}

void add_by_name(const PredictorKind& kind, const EvaluateOptions& options, const Corpus& corpus,
                 std::vector<Candidate>& candidates) {
  if (kind.trained) {
    throw UsageError(fmt::format(
        "{} has to be trained: run foregate train --predictor {} first and give the directory it "
        "writes",
        kind.name, kind.name));
  }
  std::vector<scoring::Lead> leads = options.leads.empty() ? usual_leads(corpus) : options.leads;
  std::erase_if(leads, [&](const scoring::Lead& lead) { return !kind.supports(lead); });
  // None left: let the registry say which leads the predictor has.
  if (leads.empty() && !options.leads.empty()) leads.push_back(options.leads.front());
  for (const scoring::Lead& lead : leads) {
    candidates.push_back({.label = kind.name,
                          .predictor = make_predictor(kind.name, lead, corpus.geometry()),
                          .to_fit = true,
                          .learns = kind.learns,
                          .trained = kind.trained,
                          .learned_from = "",
                          .seen_texts = {},
                          .kept_start = false,
                          .calibration = {}});
  }
}

void require_same_model(const std::string& directory, const PredictorInfo& info,
                        const Corpus& corpus) {
  const trace::Manifest& manifest = corpus.manifest();
  const std::string difference = trace::geometry_difference(corpus.geometry(), info.geometry);
  if (!difference.empty()) {
    throw DataError(fmt::format("{} was made for another geometry than the trace {}: {}", directory,
                                corpus.path().string(), difference));
  }
  const bool same = info.config_sha256.empty() || manifest.config_sha256.empty()
                        ? info.model == manifest.model
                        : info.config_sha256 == manifest.config_sha256;
  if (same) {
    const std::string weights = digest_of(manifest.weights);
    const bool known = !weights.empty() && !info.weights_sha256.empty();
    if (!known || weights == info.weights_sha256) return;
    throw DataError(
        fmt::format("{} was made for other weights of {} than the trace {} was collected with; "
                    "evaluate it on a trace of its own model",
                    directory, info.model, corpus.path().string()));
  }
  throw DataError(
      fmt::format("{} was made for the model {} (config {:.12}), the trace {} is of {} (config "
                  "{:.12}); evaluate it "
                  "on a trace of its own model",
                  directory, info.model, info.config_sha256, corpus.path().string(), manifest.model,
                  manifest.config_sha256));
}

/// What to do about ids that name other tokens.
const char* remedy(trace::TokenIds learned, trace::TokenIds found) {
  using trace::TokenIds;
  if (learned == TokenIds::kTokenizer && found == TokenIds::kHashed) {
    return "import the trace's record again with --tokenizer";
  }
  if (learned == TokenIds::kHashed && found == TokenIds::kTokenizer) {
    return "train on a trace that was imported with --tokenizer";
  }
  return "train on this trace, or import both records again";
}

/// A predictor that knows tokens by their ids can be used where the same ids name the same tokens:
/// on the very trace it learned from, or where both have the ids of one tokenizer, or hashes of the
/// tokens' strings.
void require_same_tokens(const std::string& directory, const PredictorInfo& info,
                         const Corpus& corpus) {
  const trace::Manifest& manifest = corpus.manifest();
  if (!info.live && info.trace_sha256 == corpus.digest()) return;
  // Directories from before it was written: of the model's tokenizer, as far as was looked.
  const trace::TokenIds learned = info.token_ids.value_or(trace::TokenIds::kTokenizer);
  const std::string source = info.live ? "the running model" : info.trace;
  const bool comparable =
      learned == trace::TokenIds::kTokenizer || learned == trace::TokenIds::kHashed;
  if (learned != manifest.token_ids || !comparable) {
    throw UsageError(
        fmt::format("{} learned from {}, whose token ids are {}, and those of {} are {}: they name "
                    "other tokens; "
                    "{}",
                    directory, source, trace::description(learned), corpus.path().string(),
                    trace::description(manifest.token_ids), remedy(learned, manifest.token_ids)));
  }
  const std::string& tokenizer = info.live ? info.live->tokenizer_sha256 : info.tokenizer_sha256;
  const bool same = tokenizer.empty() || manifest.tokenizer_sha256.empty() ||
                    tokenizer == manifest.tokenizer_sha256;
  if (same) return;
  throw UsageError(fmt::format(
      "{} learned from {} with another tokenizer ({:.12}) than that of {} ({:.12}): their "
      "ids name other tokens; train on this trace",
      directory, source, tokenizer, corpus.path().string(), manifest.tokenizer_sha256));
}

/// Whether the trace's test texts are test texts of the predictor too: it is the trace it learned
/// from, or, for one that learned from the running model, it was trained on exactly the trace's
/// training and validation texts.
bool split_alike(const StoredPredictor& stored, const Corpus& corpus) {
  if (!stored.info.live) return stored.info.trace_sha256 == corpus.digest();
  const std::vector<uint64_t> texts = hashes_learned_from(corpus);
  return std::unordered_set<uint64_t>(texts.begin(), texts.end()) == stored.seen_texts;
}

void add_directory(const std::string& directory, const EvaluateOptions& options,
                   const Corpus& corpus, std::vector<Candidate>& candidates) {
  StoredPredictor stored = load_predictor(directory);
  require_same_model(directory, stored.info, corpus);
  const auto& leads = options.leads;
  if (!leads.empty() && std::find(leads.begin(), leads.end(), stored.info.lead) == leads.end()) {
    throw UsageError(fmt::format("{} predicts at {}, which is not among the leads asked for",
                                 directory, scoring::lead_name(stored.info.lead)));
  }
  if (!options.all_texts && !split_alike(stored, corpus)) {
    throw UsageError(
        fmt::format("{} learned from {}, whose training texts may be test texts of {}; evaluate on "
                    "the former, or on texts it never saw with --split all",
                    directory,
                    !stored.info.live ? fmt::format("another trace ({})", stored.info.trace)
                                      : "other texts, by --live",
                    corpus.path().string()));
  }
  if (!options.all_texts && stored.info.held_out != options.held_out) {
    throw UsageError(fmt::format(
        "{} was trained with {}; evaluate it with the same, or its training texts would be test "
        "texts",
        directory,
        stored.info.held_out.empty() ? "no dataset held out"
                                     : "--hold-out " + stored.info.held_out));
  }
  const PredictorKind* kind = find_predictor_kind(stored.info.name);
  if (kind->tokens) require_same_tokens(directory, stored.info, corpus);
  candidates.push_back({.label = directory,
                        .predictor = std::move(stored.predictor),
                        .to_fit = false,
                        .learns = kind->learns,
                        .trained = kind->trained,
                        .learned_from = stored.info.learned_from,
                        .seen_texts = std::move(stored.seen_texts),
                        .kept_start = stored.info.best_step == 0,
                        .calibration = stored.info.calibration});
}

void add_all_untrained(const EvaluateOptions& options, const Corpus& corpus,
                       std::vector<Candidate>& candidates) {
  const std::vector<scoring::Lead> leads =
      options.leads.empty() ? usual_leads(corpus) : options.leads;
  for (const scoring::Lead& lead : leads) scoring::require_lead_fits(lead, corpus.geometry());
  for (const PredictorKind& kind : predictor_kinds()) {
    const bool possible = !kind.features || (corpus.has_features() && corpus.routers());
    const bool fits = std::any_of(leads.begin(), leads.end(),
                                  [&](const scoring::Lead& lead) { return kind.supports(lead); });
    if (!kind.trained && possible && fits) add_by_name(kind, options, corpus, candidates);
  }
}

}  // namespace

std::vector<Candidate> choose_candidates(const EvaluateOptions& options, const Corpus& corpus) {
  std::vector<Candidate> candidates;
  if (options.predictors.empty()) add_all_untrained(options, corpus, candidates);
  for (const std::string& asked : options.predictors) {
    if (const PredictorKind* kind = find_predictor_kind(asked)) {
      add_by_name(*kind, options, corpus, candidates);
    } else if (fs::is_directory(asked)) {
      add_directory(asked, options, corpus, candidates);
    } else {
      throw UsageError(fmt::format("--predictor '{}' is neither a directory nor one of: {}", asked,
                                   fmt::join(predictor_names(), ", ")));
    }
  }
  for (const Candidate& candidate : candidates) {
    if (candidate.predictor->needs_features()) corpus.require_features(candidate.label);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     const scoring::Lead& x = a.predictor->lead();
                     const scoring::Lead& y = b.predictor->lead();
                     return std::pair(x.kind, x.distance) < std::pair(y.kind, y.distance);
                   });
  return candidates;
}

}  // namespace foregate::predict
