#include "predict/evaluation/text_queue.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>

#include <optional>

namespace foregate::predict {
namespace {

/// Hidden states of texts that wait, at most.
constexpr int64_t kWaitingBytes = int64_t{1} << 30;

}  // namespace

TextQueue::TextQueue(std::vector<PredictorEvaluator>& evaluators, const torch::Device& device)
    : evaluators_(evaluators),
      // Texts differ in length: with a few for every thread none waits long for the last.
      texts_at_a_time_(device.is_cpu() ? 4 * static_cast<size_t>(at::get_num_threads()) : 1) {}

void TextQueue::add(const RoutedText& text) {
  if (text.num_tokens() == 0) return;
  waiting_.push_back(text);
  for (const torch::Tensor& states : {text.router_inputs, text.residual}) {
    if (states.defined()) waiting_bytes_ += static_cast<int64_t>(states.nbytes());
  }
  if (waiting_.size() >= texts_at_a_time_ || waiting_bytes_ >= kWaitingBytes) flush();
}

void TextQueue::flush() {
  const std::vector<Targets> targets(waiting_.begin(), waiting_.end());
  const size_t rows = evaluators_.size();
  std::vector<std::optional<PredictorEvaluator::TextScore>> scores(waiting_.size() * rows);
  const at::ThreadLocalState state;  // parallel_for does not hand it on
  at::parallel_for(0, std::ssize(scores), 1, [&](int64_t begin, int64_t end) {
    const at::ThreadLocalStateGuard guard(state);
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      scores[at] = evaluators_[at % rows].score(waiting_[at / rows], targets[at / rows]);
    }
  });
  for (size_t at = 0; at < scores.size(); ++at) evaluators_[at % rows].add(*scores[at]);
  waiting_.clear();
  waiting_bytes_ = 0;
}

}  // namespace foregate::predict
