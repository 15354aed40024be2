#include "collect/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "base/error.h"
#include "base/number_text.h"
#include "collect/session.h"
#include "trace/features.h"

namespace foregate::collect {
namespace {

constexpr const char* kKept =
    "finished shards are kept; run the same command again to continue where this stopped";

/// Positions in the batch of the tokens whose hidden states are kept.
torch::Tensor feature_positions(const ShardWork& work, BatchRange range) {
  std::vector<int64_t> positions;
  int64_t token = 0;
  for (size_t i = range.first_text; i < range.first_text + range.num_texts; ++i) {
    const auto length = static_cast<int64_t>(work.texts[i].ids.size());
    for (int64_t j = 0; work.texts[i].with_features && j < length; ++j)
      positions.push_back(token + j);
    token += length;
  }
  return torch::tensor(positions, torch::kInt64);
}

}  // namespace

Pipeline::Pipeline(PipelineInputs inputs, trace::Manifest manifest)
    : inputs_(std::move(inputs)),
      settings_(manifest),
      sink_(inputs_.output, std::move(manifest)),
      recorder_(settings_.geometry,
                {.logits = settings_.router_logits, .features = settings_.feature_fraction > 0}) {}

void Pipeline::run() {
  // A stage that fails poisons both queues, which wakes and ends the other two.
  const auto guarded = [this](void (Pipeline::*stage)()) {
    try {
      (this->*stage)();
    } catch (...) {
      work_.fail(std::current_exception());
      results_.fail(std::current_exception());
    }
  };
  total_.start();
  {
    std::jthread reader(guarded, &Pipeline::read_texts);
    std::jthread writer(guarded, &Pipeline::write_results);
    guarded(&Pipeline::forward_shards);
  }
  results_.rethrow_if_failed();
  sink_.complete();
  total_.stop();
}

void Pipeline::read_texts() {
  const auto finished = static_cast<int>(settings_.shards.size());
  text::PlannedTexts texts(inputs_.plan);
  auto shard = std::make_shared<ShardWork>();
  const auto hand_over = [&] {
    text::require_unchanged(inputs_.plan);
    const int next = shard->index + 1;
    reading_.stop();
    if (shard->index >= finished) work_.push(std::move(shard));
    reading_.start();
    shard = std::make_shared<ShardWork>();
    shard->index = next;
  };
  int64_t in_shard = 0;
  size_t stage = 0;
  reading_.start();
  text::PlannedText planned;
  while (texts.next(planned)) {
    if (planned.stage != stage && in_shard > 0) {  // What a trace grew from ends with a shard.
      hand_over();
      in_shard = 0;
    }
    stage = planned.stage;
    if (shard->index >= finished) {
      const std::string& dataset = settings_.datasets[static_cast<size_t>(planned.dataset)].name;
      TokenizedText text{planned.dataset, planned.row, inputs_.tokenizer.encode(planned.text),
                         trace::features::is_chosen(dataset, planned.row, settings_.seed,
                                                    settings_.feature_fraction)};
      if (static_cast<int64_t>(text.ids.size()) > settings_.max_length) {
        text.ids.resize(static_cast<size_t>(settings_.max_length));
      }
      text.prompt_tokens = std::ssize(text.ids);
      shard->texts.push_back(std::move(text));
    }
    if (++in_shard == settings_.shard_traces) {
      hand_over();
      in_shard = 0;
    }
  }
  if (in_shard > 0) hand_over();
  reading_.stop();
  work_.close();
}

void Pipeline::forward_shards() {
  const int64_t before = settings_.num_traces();
  const auto progress = inputs_.run.progress.start({.label = "collect",
                                                    .unit = "traces",
                                                    .total = inputs_.plan.num_texts(),
                                                    .per_minute = true,
                                                    .done_before = before});
  const auto start = std::chrono::steady_clock::now();
  int64_t done = before;
  while (const auto popped = work_.pop()) {
    const Work work = continued(*popped, [&](int64_t texts) {
      progress->update(done, fmt::format("{} of {} continued", texts, (*popped)->texts.size()));
    });
    const auto ranges = cut_batches(*work, settings_.batch_tokens);
    for (const BatchRange& range : ranges) {
      inputs_.run.stop.check(kKept);
      forward_range(work, range, &range == &ranges.back());
      done += static_cast<int64_t>(range.num_texts);
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      progress->update(done, remark(seconds));
    }
  }
  results_.close();
  progress->finish();
}

Pipeline::Work Pipeline::continued(const Work& work, const std::function<void(int64_t)>& on_text) {
  if (inputs_.continuation == nullptr) return work;
  forwarding_.start();
  auto longer = std::make_shared<ShardWork>(*work);
  const bool whole =
      inputs_.continuation->add_to(*longer, settings_.datasets, inputs_.run.stop, on_text);
  forwarding_.stop();
  if (!whole) throw InterruptedError(std::string("stopped; ") + kKept);
  return longer;
}

std::string Pipeline::remark(double seconds) const {
  const double tokens = static_cast<double>(tokens_done_) / std::max(seconds, 1e-9);
  return fmt::format("{} tokens/s, {} decisions/s", with_commas(static_cast<int64_t>(tokens)),
                     with_commas(static_cast<int64_t>(tokens * settings_.geometry.num_moe_layers)));
}

void Pipeline::forward_range(const Work& work, BatchRange range, bool last_of_shard) {
  const int64_t tokens = num_tokens(*work, range);
  if (tokens > most_tokens_ && range.num_texts > 1) {
    forward_halves(work, range, last_of_shard);
    return;
  }
  try {
    forwarding_.start();
    BatchResult result = forward_batch(work, range);
    forwarding_.stop();
    result.last_of_shard = last_of_shard;
    results_.push(std::move(result));
    return;
  } catch (const OutOfMemoryError&) {
    forwarding_.stop();
    if (range.num_texts < 2) throw;
  }
  most_tokens_ = tokens / 2;
  inputs_.run.log.warning("out of memory with {} tokens at once; going on with at most {}",
                          with_commas(tokens), with_commas(most_tokens_));
  forward_halves(work, range, last_of_shard);
}

void Pipeline::forward_halves(const Work& work, BatchRange range, bool last_of_shard) {
  const BatchRange front{range.first_text, range.num_texts / 2};
  const BatchRange back{range.first_text + front.num_texts, range.num_texts - front.num_texts};
  forward_range(work, front, false);
  forward_range(work, back, last_of_shard);
}

BatchResult Pipeline::forward_batch(const Work& work, BatchRange range) {
  engine::StepBatch batch;
  for (size_t i = range.first_text; i < range.first_text + range.num_texts; ++i)
    batch.add(work->texts[i].ids);
  recorder_.begin(batch.num_tokens(), feature_positions(*work, range));
  BatchResult result;
  result.began = tensor::record_event(inputs_.engine.device());
  inputs_.engine.step(batch, recorder_);
  result.ended = tensor::record_event(inputs_.engine.device());
  result.work = work;
  result.range = range;
  recorder_.finish(result);
  tokens_done_ += batch.num_tokens();
  return result;
}

StageTimes Pipeline::stage_times() const {
  return {.total = total_.seconds(),
          .read = reading_.seconds(),
          .forward = forwarding_.seconds(),
          .device = device_seconds_,
          .write = writing_.seconds()};
}

void Pipeline::write_results() {
  while (const auto result = results_.pop()) {
    device_seconds_ += tensor::seconds_between(result->began, result->ended);
    tensor::wait_for(result->ready);
    writing_.start();
    sink_.add(*result);
    writing_.stop();
  }
}

}  // namespace foregate::collect
