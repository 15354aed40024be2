#include "predict/counting/replay.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <span>

namespace foregate::predict {
namespace {

constexpr int64_t kReplayedPerThread = 256;  // decisions: short texts are not worth waking threads
/// Layers that are scored while a text is told once. Their tables are to stay in a core's cache
/// from token to token; telling costs less than fetching them anew.
constexpr int64_t kLayersAtATime = 4;

class Retelling {
 public:
  Retelling(const scoring::Scorer& scorer, const RoutedText& text)
      : scorer_(scorer),
        ids_(text.token_ids.to(torch::kInt32).contiguous()),
        experts_(text.experts.to(torch::kInt32).contiguous()),
        tells_routing_(scorer.needs().routing) {}

  /// Calls visit(token, layer, sequence) for layers [first, last) of each token, when the sequence
  /// knows what a prediction of that layer may know.
  template <typename Visit>
  void visit(int64_t first, int64_t last, const Visit& visit) const {
    scoring::Sequence sequence(scorer_);
    const int64_t tokens = ids_.size(0);
    for (int64_t t = 0; t < tokens; ++t) {
      sequence.begin_token(ids_.const_data_ptr<int32_t>()[t]);
      int64_t told = 0;
      for (int64_t l = first; l < last; ++l) {
        told = tell(sequence, t, told, known_layers(l));
        visit(t, l, static_cast<const scoring::Sequence&>(sequence));
      }
      tell(sequence, t, told, scorer_.num_layers());
    }
  }

 private:
  /// How many layers have decided when layer l of a token is predicted.
  int64_t known_layers(int64_t layer) const {
    const scoring::Lead& lead = scorer_.identity().lead;
    switch (lead.kind) {
      case scoring::Lead::Kind::kNextToken:
        return 0;
      case scoring::Lead::Kind::kLayer:
        return layer - lead.distance + 1;
      case scoring::Lead::Kind::kPreAttention:
        break;
    }
    return layer;
  }

  /// Tells what layers [first, last) of a token decided. -> last
  int64_t tell(scoring::Sequence& sequence, int64_t token, int64_t first, int64_t last) const {
    const auto k = static_cast<size_t>(scorer_.geometry().top_k);
    const int32_t* chosen = experts_.const_data_ptr<int32_t>();
    for (int64_t l = first; tells_routing_ && l < last; ++l) {
      const auto at = static_cast<size_t>(token * scorer_.num_layers() + l) * k;
      sequence.history.set_routing(l, {chosen + at, k});
    }
    return std::max(first, last);
  }

  const scoring::Scorer& scorer_;
  const torch::Tensor ids_;      // [n] int32
  const torch::Tensor experts_;  // [n, L, k] int32
  const bool tells_routing_;
};

}  // namespace

torch::Tensor replay(const scoring::Scorer& scorer, const RoutedText& text) {
  const int64_t first = scorer.first_layer();
  const int64_t rows = scorer.num_layers() - first;
  torch::Tensor scores = torch::empty({text.num_tokens(), rows, scorer.num_experts()});
  auto* out = scores.mutable_data_ptr<float>();
  const Retelling retelling(scorer, text);
  const int64_t grain = 1 + kReplayedPerThread / std::max<int64_t>(text.num_tokens(), 1);
  at::parallel_for(first, scorer.num_layers(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t from = begin; from < end; from += kLayersAtATime) {
      retelling.visit(
          from, std::min(from + kLayersAtATime, end),
          [&](int64_t t, int64_t l, const scoring::Sequence& sequence) {
            const scoring::Sequence* one = &sequence;
            scorer.score({&one, 1}, l, out + (t * rows + l - first) * scorer.num_experts());
          });
    }
  });
  return scores;
}

torch::Tensor replay_evidence(const scoring::MixtureScorer& scorer,
                              const std::vector<RoutedText>& texts, int64_t layer) {
  std::vector<int64_t> begins = {0};
  for (const RoutedText& text : texts) begins.push_back(begins.back() + text.num_tokens());
  const int64_t tokens = begins.back();
  const int64_t terms = scorer.num_terms();
  const int64_t width = scorer.num_experts();
  torch::Tensor evidence = torch::empty({terms, tokens, width});
  auto* out = evidence.mutable_data_ptr<float>();
  at::parallel_for(0, std::ssize(texts), 1, [&](int64_t first, int64_t last) {
    std::vector<float> rows(static_cast<size_t>(terms * width));
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = begins[static_cast<size_t>(i)];
      const auto keep = [&](int64_t t, int64_t l, const scoring::Sequence& sequence) {
        scorer.evidence(sequence, l, rows.data());
        for (int64_t term = 0; term < terms; ++term) {
          std::copy_n(rows.data() + term * width, width, out + (term * tokens + begin + t) * width);
        }
      };
      Retelling(scorer, texts[static_cast<size_t>(i)]).visit(layer, layer + 1, keep);
    }
  });
  return evidence;
}

}  // namespace foregate::predict
