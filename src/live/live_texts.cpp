#include "live/live_texts.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "predict/texts/routed_text.h"

namespace foregate::live {
namespace {

/// The planned texts from `at` on that the next batch spans: true for those in it. A batch ends
/// before it would grow beyond `budget`, but holds one text at least.
std::vector<bool> span_of_batch(const TextIndex& index, std::optional<trace::Split> split,
                                int64_t budget, size_t at) {
  std::vector<bool> span;
  int64_t tokens = 0;
  for (size_t i = at; i < index.splits.size(); ++i) {
    const bool selected = (!split || index.splits[i] == *split) && index.lengths[i] > 0;
    if (selected && tokens > 0 && tokens + index.lengths[i] > budget) break;
    if (selected) tokens += index.lengths[i];
    span.push_back(selected);
  }
  if (tokens == 0) span.clear();
  return span;
}

predict::RoutedText routed_text(const LiveTexts::Waiting& waiting,
                                const collect::BatchResult& result, int64_t first) {
  const auto tokens = static_cast<int64_t>(waiting.ids.size());
  const auto rows = [&](const torch::Tensor& all) {
    return all.defined() ? all.narrow(0, first, tokens) : all;
  };
  predict::RoutedText text;
  text.dataset = waiting.dataset;
  text.sample = waiting.row;
  text.hash = predict::hash_of(waiting.ids);
  text.prompt_tokens = tokens;
  text.token_ids = torch::tensor(waiting.ids, torch::kInt32).to(torch::kInt64);
  text.experts = rows(result.experts).to(torch::kInt64);
  text.gate_weights = rows(result.gate_weights).to(torch::kFloat32);
  text.router_inputs = rows(result.router_inputs);
  text.residual = rows(result.residual);
  return text;
}

}  // namespace

LiveTexts::LiveTexts(collect::Source source, const std::string& held_out, int64_t batch_tokens,
                     const RunContext& run)
    : stop_(run.stop),
      source_(std::move(source)),
      index_(index_texts(source_, held_out, run)),
      batch_tokens_(batch_tokens) {
  set_routers(source_.engine.routers(), "the model's routers");
}

std::string LiveTexts::name() const {
  return "the texts of --data";
}

double LiveTexts::mean_tokens() const {
  int64_t tokens = 0;
  for (const int32_t length : index_.lengths) tokens += length;
  return static_cast<double>(tokens) /
         static_cast<double>(std::max<int64_t>(index_.num_texts(), 1));
}

int64_t LiveTexts::count(const predict::TextSelection& selection) const {
  return selection.split ? index_.texts_of(*selection.split) : index_.num_texts();
}

std::vector<predict::RoutedText> LiveTexts::route(const std::vector<Waiting>& batch, bool features,
                                                  bool states_stay) const {
  engine::StepBatch packed;
  for (const Waiting& text : batch) packed.add(text.ids);
  collect::Recorder recorder(geometry(), {.features = features, .states_stay = states_stay});
  recorder.begin(packed.num_tokens(), torch::arange(features ? packed.num_tokens() : 0));
  source_.engine.step(packed, recorder);
  collect::BatchResult result;
  recorder.finish(result);
  tensor::wait_for(result.ready);
  std::vector<predict::RoutedText> texts;
  int64_t first = 0;
  for (const Waiting& text : batch) {
    texts.push_back(routed_text(text, result, first));
    first += static_cast<int64_t>(text.ids.size());
  }
  return texts;
}

void LiveTexts::for_each(const predict::TextSelection& selection,
                         const std::function<void(const predict::RoutedText&)>& visit) const {
  const bool features = selection.features != predict::TextSelection::Features::kLeaveOut;
  LiveReader reader(*this, selection.split);
  for (auto batch = reader.next(); !batch.empty(); batch = reader.next()) {
    stop_.check("run the same command again to continue");
    for (const predict::RoutedText& text : route(batch, features, /*states_stay=*/false))
      visit(text);
  }
}

std::vector<LiveTexts::Waiting> LiveReader::next() {
  std::vector<LiveTexts::Waiting> batch;
  for (const bool selected : span_of_batch(texts_.index(), split_, texts_.batch_tokens(), at_)) {
    text::PlannedText text;
    planned_.next(text);
    ++at_;
    if (!selected) continue;
    const auto& dataset = texts_.source().plan.datasets[static_cast<size_t>(text.dataset)];
    batch.push_back({dataset.spec.name, text.row, token_ids_of(texts_.source(), text)});
  }
  return batch;
}

void LiveReader::skip(int64_t batches) {
  for (int64_t i = 0; i < batches; ++i) {
    const size_t span = span_of_batch(texts_.index(), split_, texts_.batch_tokens(), at_).size();
    text::PlannedText text;
    for (size_t j = 0; j < span; ++j) planned_.next(text);
    at_ += span;
  }
}

int64_t LiveReader::num_batches(const LiveTexts& texts, std::optional<trace::Split> split) {
  int64_t batches = 0;
  size_t at = 0;
  while (true) {
    const size_t span = span_of_batch(texts.index(), split, texts.batch_tokens(), at).size();
    if (span == 0) return batches;
    at += span;
    ++batches;
  }
}

}  // namespace foregate::live
