#include "engine/generation/generator.h"

#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <list>

#include "base/error.h"
#include "base/number_text.h"
#include "engine/generation/text_stream.h"

namespace foregate::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// Pieces of `size` that hold `count`.
int64_t pieces(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

}  // namespace

// A text on its way. It lives on while it waits for room.
struct Generator::GrowingText {
  explicit GrowingText(GenerationRequest taken)
      : request(std::move(taken)),
        sampler(request.sampling, request.seed, request.stream, request.prompt),
        stream(request.stop_strings),
        tokens(request.prompt),
        taken_up(Clock::now()) {
    result.id = request.id;
    result.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  }

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t tokens_left() const {
    return request.max_tokens - static_cast<int64_t>(result.ids.size());
  }

  GenerationRequest request;
  Sampler sampler;
  TextStream stream;
  std::vector<int32_t> tokens;  ///< prompt and what was generated
  GenerationResult result;
  KvCache::Sequence sequence = -1;
  Clock::time_point taken_up;
  Clock::time_point last_token;
};

class Generator::Run {
 public:
  Run(Generator& generator, const NextRequest& next, GenerationListener& listener,
      EngineObserver& observer)
      : generator_(generator),
        cache_(generator.cache_),
        next_(next),
        listener_(listener),
        observer_(observer),
        most_tokens_(generator.options_.step_tokens) {}
  ~Run() {
    for (GrowingText& text : running_) cache_.close(text.sequence);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  GenerationStats run(const StopToken& stop) {
    while (true) {
      if (stop.stop_requested()) {
        interrupt();
        break;
      }
      plan();
      if (parts_.empty()) break;
      step();
    }
    return std::move(stats_);
  }

 private:
  using Place = std::list<GrowingText>::iterator;
  // What a step runs of one text.
  struct Part {
    Place text;
    int64_t tokens = 0;
  };

  int64_t pending(const GrowingText& text) const {
    return text.num_tokens() - cache_.length(text.sequence);
  }
  int64_t room() const { return cache_.free_pages() - reserved_; }

  // Chooses what the next step runs: first what is running, oldest first, then new prompts.
  void plan() {
    parts_.clear();
    reserved_ = 0;
    budget_ = most_tokens_;
    for (Place text = running_.begin(); text != running_.end(); ++text) {
      const int64_t count = std::min(pending(*text), budget_);
      if (count == 0 || !make_room(text, count)) break;  // without room it waits now, the last
      add(text, count);
    }
    while (budget_ > 0 && take_up()) {
    }
  }

  void add(Place text, int64_t count) {
    reserved_ += cache_.pages_to_extend(text->sequence, count);
    budget_ -= count;
    parts_.push_back({text, count});
  }

  // Makes texts that were taken up later wait until there is room; false if `text` itself waits.
  bool make_room(Place text, int64_t count) {
    while (cache_.pages_to_extend(text->sequence, count) > room()) {
      const Place last = std::prev(running_.end());
      const bool itself = last == text;
      cache_.close(last->sequence);
      last->sequence = -1;
      waiting_.splice(waiting_.begin(), running_, last);
      ++stats_.preemptions;
      if (itself) return false;
    }
    return true;
  }

  // Whether a text that is taken up now comes to its next token before anything makes it wait:
  // there are pages for its tokens and one more, beside what those that run take until then.
  bool has_room_to_begin(const GrowingText& text) const {
    int64_t ahead = text.num_tokens();
    for (const GrowingText& other : running_) ahead += pending(other);
    const int64_t steps = pieces(ahead, most_tokens_);
    int64_t pages = pieces(text.num_tokens() + 1, cache_.page_tokens());
    for (const GrowingText& other : running_) {
      const int64_t growth = std::min(steps, other.tokens_left());
      pages += cache_.pages_to_extend(other.sequence, pending(other) + growth);
    }
    return pages <= cache_.free_pages();
  }

  // Begins with the next text that waits or comes, if there is room for it.
  bool take_up() {
    if (static_cast<int64_t>(running_.size()) >= generator_.options_.max_sequences) return false;
    if (waiting_.empty() && !fetch()) return false;
    GrowingText& text = waiting_.front();
    if (!has_room_to_begin(text)) return false;
    text.sequence = cache_.open();
    running_.splice(running_.end(), waiting_, waiting_.begin());
    const Place place = std::prev(running_.end());
    add(place, std::min(place->num_tokens(), budget_));
    return true;
  }

  bool fetch() {
    if (no_more_) return false;
    std::optional<GenerationRequest> request = next_();
    no_more_ = !request;
    if (no_more_) return false;
    const std::string refusal = generator_.refusal(*request);
    if (!refusal.empty()) throw DataError(refusal);
    ++stats_.prompts;
    waiting_.emplace_back(std::move(*request));
    return true;
  }

  void step() {
    StepBatch batch;
    std::vector<StepPart> told;
    int64_t decoded = 0;
    for (const Part& part : parts_) {
      const int64_t first = cache_.length(part.text->sequence);
      told.push_back({part.text->result.id, first,
                      std::span(part.text->tokens)
                          .subspan(static_cast<size_t>(first), static_cast<size_t>(part.tokens))});
      batch.add(part.text->sequence, told.back().ids);
      if (first >= part.text->result.prompt_tokens) decoded += part.tokens;
    }
    listener_.on_step(told);
    const Clock::time_point began = Clock::now();
    const torch::Tensor logits = logits_after(batch);
    if (!logits.defined()) return;  // the next plan is smaller
    listener_.on_logits(logits);
    // Either waits for the step.
    const std::vector<int32_t> chosen = needs_logits() ? std::vector<int32_t>() : largest(logits);
    const torch::Tensor rows =
        chosen.empty() ? logits.to(torch::kCPU).contiguous() : torch::Tensor();
    const Clock::time_point ended = Clock::now();
    count_step(batch.num_tokens(), decoded, seconds_since(began, ended));
    const auto vocab = static_cast<size_t>(logits.size(1));
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Place text = parts_[i].text;
      if (pending(*text) > 0) continue;
      if (chosen.empty()) {
        choose(text, {rows.const_data_ptr<float>() + i * vocab, vocab}, ended);
      } else {
        text->sampler.accept(chosen[i]);
        take(text, chosen[i], ended);
      }
    }
  }

  // Whether the logits themselves are asked for, not only which are the largest.
  bool needs_logits() const {
    return std::ranges::any_of(parts_, [&](const Part& part) {
      const GrowingText& text = *part.text;
      return pending(text) == 0 &&
             (!text.sampler.is_plainly_greedy() || text.request.logprobs >= 0);
    });
  }

  // The largest of each row, found where they are; empty if some are no numbers, which sampling
  // tells.
  static std::vector<int32_t> largest(const torch::Tensor& logits) {
    const torch::Tensor ids = logits.argmax(1, /*keepdim=*/true);
    const torch::Tensor found =
        torch::cat({ids.to(torch::kFloat64), logits.gather(1, ids).to(torch::kFloat64)}, 1)
            .to(torch::kCPU);
    const auto* row = found.const_data_ptr<double>();
    std::vector<int32_t> result;
    for (int64_t i = 0; i < found.size(0); ++i, row += 2) {
      if (!std::isfinite(row[1])) return {};
      result.push_back(static_cast<int32_t>(row[0]));
    }
    return result;
  }

  // Undefined if the step did not fit into memory.
  torch::Tensor logits_after(const StepBatch& batch) {
    try {
      return generator_.engine_.step(batch, observer_, &cache_).next_token_logits;
    } catch (const OutOfMemoryError&) {
      if (batch.num_tokens() < 2) throw;
    }
    most_tokens_ = batch.num_tokens() / 2;
    generator_.options_.log->warning(
        "out of memory with {} tokens at once; going on with at most {}",
        with_commas(batch.num_tokens()), with_commas(most_tokens_));
    return {};
  }

  void count_step(int64_t tokens, int64_t decoded, double seconds) {
    const double share = static_cast<double>(decoded) / static_cast<double>(tokens);
    stats_.prompt_tokens += tokens - decoded;
    stats_.decode_seconds += seconds * share;
    stats_.prefill_seconds += seconds * (1 - share);
    ++stats_.steps;
    stats_.peak_cache_bytes = std::max(
        stats_.peak_cache_bytes, (cache_.num_pages() - cache_.free_pages()) * cache_.page_bytes());
  }

  // Adds the next token of a text whose tokens are all in the cache.
  void choose(Place place, std::span<const float> logits, Clock::time_point now) {
    GrowingText& text = *place;
    const int32_t id = text.sampler.next(logits);
    if (text.request.logprobs >= 0) {
      text.result.logprobs.push_back(logprobs_of(logits, id, text.request.logprobs));
    }
    take(place, id, now);
  }

  // Adds a token that was chosen.
  void take(Place place, int32_t id, Clock::time_point now) {
    GrowingText& text = *place;
    text.tokens.push_back(id);
    text.result.ids.push_back(id);
    count_token(text, now);
    const bool stopped =
        std::ranges::find(text.request.stop_ids, id) != text.request.stop_ids.end();
    if (!stopped) {
      show(text, text.stream.add(generator_.token_bytes_ ? generator_.token_bytes_(id) : ""));
    }
    const auto generated = static_cast<int64_t>(text.result.ids.size());
    if (stopped || !text.stream.stopped_by().empty()) {
      finish(place, FinishReason::kStop);
    } else if (generated >= text.request.max_tokens ||
               text.num_tokens() >= generator_.context_limit()) {
      finish(place, FinishReason::kLength);
    }
  }

  void count_token(GrowingText& text, Clock::time_point now) {
    ++stats_.generated_tokens;
    if (text.result.ids.size() == 1) {
      text.result.seconds_to_first_token = seconds_since(text.taken_up, now);
      stats_.seconds_to_first.push_back(text.result.seconds_to_first_token);
    } else {
      stats_.seconds_between.push_back(seconds_since(text.last_token, now));
    }
    text.last_token = now;
  }

  void show(const GrowingText& text, const std::string& more) {
    if (!more.empty()) listener_.on_text(text.result.id, more);
  }

  void finish(Place place, FinishReason reason) {
    GrowingText& text = *place;
    if (text.stream.stopped_by().empty()) show(text, text.stream.finish());
    text.result.finish_reason = reason;
    text.result.stop_string = text.stream.stopped_by();
    text.result.text = text.stream.text();
    if (text.sequence >= 0) cache_.close(text.sequence);
    const GenerationResult result = std::move(text.result);
    (text.sequence >= 0 ? running_ : waiting_).erase(place);
    listener_.on_result(result);
  }

  void interrupt() {
    stats_.interrupted = true;
    while (!running_.empty()) finish(running_.begin(), FinishReason::kInterrupted);
    while (!waiting_.empty()) finish(waiting_.begin(), FinishReason::kInterrupted);
  }

  Generator& generator_;
  KvCache& cache_;
  const NextRequest& next_;
  GenerationListener& listener_;
  EngineObserver& observer_;
  std::list<GrowingText> running_;  ///< by when they were taken up
  std::list<GrowingText> waiting_;  ///< made room for others, and perhaps a new one
  bool no_more_ = false;
  int64_t most_tokens_;      ///< of a step; fewer once one ran out of memory
  std::vector<Part> parts_;  ///< of the next step
  int64_t reserved_ = 0;     ///< pages that they take
  int64_t budget_ = 0;       ///< tokens that the step may still have
  GenerationStats stats_;
};

Generator::Generator(Engine& engine, const GeneratorOptions& options, TokenBytes token_bytes)
    : engine_(engine),
      options_(options),
      token_bytes_(std::move(token_bytes)),
      cache_(engine.new_cache(options.cache_bytes, options.page_tokens)) {
  TORCH_CHECK(options.max_sequences > 0 && options.step_tokens > 0,
              "generator: a step needs a sequence and a token");
}

Generator::~Generator() = default;

int64_t Generator::context_limit() const {
  return std::min(engine_.max_positions(), cache_.num_pages() * cache_.page_tokens());
}

std::string Generator::refusal(const GenerationRequest& request) const {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return "the prompt has no token; give it a text";
  if (request.max_tokens < 1) return "no token is asked for; max tokens is at least 1";
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= engine_.vocab_size()) {
      return fmt::format(
          "the prompt's token id {} is outside the model's vocabulary of {}; was it made with "
          "another tokenizer?",
          id, engine_.vocab_size());
    }
  }
  const int64_t limit = context_limit();
  if (prompt + request.max_tokens <= limit) return {};
  const std::string why = limit < engine_.max_positions()
                              ? fmt::format("keys and values have room for {} tokens", limit)
                              : fmt::format("the model's max_position_embeddings is {}", limit);
  if (prompt >= limit) {
    return fmt::format(
        "the prompt has {} tokens, and {}, which leaves none to generate; shorten it", prompt, why);
  }
  return fmt::format(
      "the prompt has {} tokens and {} more are asked for, but {}; ask for at most {}", prompt,
      request.max_tokens, why, limit - prompt);
}

GenerationStats Generator::run(const NextRequest& next, GenerationListener& listener,
                               const StopToken& stop, EngineObserver& observer) {
  return Run(*this, next, listener, observer).run(stop);
}

}  // namespace foregate::engine
