// Times a predictor through the C API, as an inference engine would call it:
//   foregate_bench_capi PREDICTOR_DIR SEQUENCES TOKENS
// SEQUENCES made-up texts are decoded side by side, TOKENS of each. Prints one JSON line with the
// microseconds a token and MoE layer takes: predicting, and telling what the model did.
// bench/capi.py makes predictors of a real model's size and runs it on them.
#include <fmt/core.h>
#include <foregate/predictor.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/random.h"

namespace {

using Clock = std::chrono::steady_clock;

void check(foregate_status status) {
  if (status == FOREGATE_OK) return;
  fmt::print(stderr, "error: {}\n", foregate_last_error());
  std::exit(1);
}

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

/// A few ids make up most of a text.
int32_t some_id(foregate::Random& random, int32_t vocabulary) {
  const double u = random.uniform();
  return static_cast<int32_t>(u * u * u * vocabulary);
}

struct Times {
  double predict = 0;
  double observe = 0;
};

class Decoding {
 public:
  Decoding(const char* directory, size_t batch) : random_(1) {
    foregate_predictor* predictor = nullptr;
    check(foregate_predictor_load(directory, &predictor));
    predictor_.reset(predictor);
    info.struct_size = sizeof(info);
    check(foregate_predictor_get_info(predictor, &info));
    sequences_.resize(batch);
    for (foregate_sequence*& sequence : sequences_) {
      check(foregate_sequence_create(predictor, &sequence));
    }
    state_.resize(static_cast<size_t>(info.hidden_size));
    for (float& value : state_) value = static_cast<float>(random_.normal());
    best_.resize(batch * static_cast<size_t>(info.top_k));
  }
  ~Decoding() {
    for (foregate_sequence* sequence : sequences_) foregate_sequence_free(sequence);
  }
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  Times token() {
    Times times;
    std::vector<int32_t> ids;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      ids.push_back(some_id(random_, info.vocab_size));
    }
    Clock::time_point begin = Clock::now();
    for (size_t i = 0; i < ids.size(); ++i) {
      check(foregate_sequence_token(sequences_[i], ids[i]));
    }
    times.observe += microseconds_since(begin);
    for (int32_t l = 0; l < info.num_moe_layers; ++l) layer(l, times);
    return times;
  }

  foregate_predictor_info info{};

 private:
  void layer(int32_t l, Times& times) {
    std::vector<int32_t> chosen;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      for (const int64_t expert : random_.sample_sorted(info.num_experts, info.top_k)) {
        chosen.push_back(static_cast<int32_t>(expert));
      }
    }
    const auto k = static_cast<size_t>(info.top_k);
    const int32_t shown = l - info.first_layer;
    Clock::time_point begin = Clock::now();
    if (shown >= 0 && info.needs_state == 1) {
      for (foregate_sequence* sequence : sequences_) {
        check(foregate_sequence_state(sequence, shown, state_.data(), FOREGATE_FLOAT32,
                                      state_.size()));
      }
    }
    times.observe += microseconds_since(begin);
    begin = Clock::now();
    if (shown >= 0) {
      check(foregate_predict_best(sequences_.data(), sequences_.size(), l, k, best_.data()));
    }
    times.predict += microseconds_since(begin);
    begin = Clock::now();
    for (size_t i = 0; i < sequences_.size(); ++i) {
      check(foregate_sequence_routing(sequences_[i], l, chosen.data() + i * k, k));
    }
    times.observe += microseconds_since(begin);
  }

  struct Free {
    void operator()(foregate_predictor* predictor) const { foregate_predictor_free(predictor); }
  };
  std::unique_ptr<foregate_predictor, Free> predictor_;
  std::vector<foregate_sequence*> sequences_;
  std::vector<float> state_;
  std::vector<int32_t> best_;
  foregate::Random random_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: {} PREDICTOR_DIR SEQUENCES TOKENS\n", argv[0]);
    return 2;
  }
  const int64_t batch = std::max(1L, std::atol(argv[2]));
  const int64_t tokens = std::max(1L, std::atol(argv[3]));
  Decoding decoding(argv[1], static_cast<size_t>(batch));
  Times sum;
  for (int64_t t = 0; t < tokens; ++t) {
    const Times times = decoding.token();
    sum.predict += times.predict;
    sum.observe += times.observe;
  }
  const auto& info = decoding.info;
  const auto decisions = static_cast<double>(batch * tokens);
  fmt::print(
      "{{\"predictor\": \"{}\", \"lead\": \"{}\", \"experts\": {}, \"hidden_size\": {}, "
      "\"sequences\": {}, \"tokens\": {}, \"predict_microseconds\": {:.3f}, "
      "\"observe_microseconds\": {:.3f}}}\n",
      info.name, info.lead, info.num_experts, info.hidden_size, batch, tokens,
      sum.predict / (decisions * (info.num_moe_layers - info.first_layer)),
      sum.observe / (decisions * info.num_moe_layers));
  return 0;
}
