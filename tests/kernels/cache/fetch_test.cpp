#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "device_cache.h"
#include "kernels/cache/cache.h"
#include "offload/cache/expert_cache.h"
#include "random_choices.h"
#include "read_slots.h"

// What is missing comes, what is foreseen comes while others compute, and the bytes are right
// whatever is delayed or overtaken.

namespace foregate::kernels {
namespace {

using testing::check_cuda;
using testing::DeviceBytes;
using testing::DeviceCache;
using testing::RandomChoices;

struct Case {
  const char* name;
  CacheShape shape;
  std::vector<int64_t> part_bytes;
  int64_t piece_bytes;
  int tokens;
  int top_k;
  int steps;
};

void PrintTo(const Case& here, std::ostream* out) {
  *out << here.name;
}

constexpr CacheShape kSmall{.layers = 6, .experts = 16, .slots = 40, .staging = 16};
constexpr CacheShape kTight{.layers = 6, .experts = 16, .slots = 5, .staging = 16};
constexpr CacheShape kByLayer{
    .layers = 6, .experts = 16, .slots = 38, .staging = 16, .by_layer = true};
constexpr CacheShape kFrequent{.layers = 6,
                               .experts = 16,
                               .slots = 40,
                               .staging = 16,
                               .policy = SlotPolicy::kLrfu,
                               .half_life = 8};
constexpr CacheShape kFewTransfers{
    .layers = 6, .experts = 16, .slots = 40, .staging = 16, .transfers = 3};
constexpr CacheShape kStale{
    .layers = 6, .experts = 16, .slots = 40, .staging = 16, .policy = SlotPolicy::kLeastStale};
constexpr CacheShape kCrowded{
    .layers = 6, .experts = 32, .slots = 48, .staging = 1, .transfers = 16};
constexpr CacheShape kWide{.layers = 24, .experts = 60, .slots = 400, .staging = 60};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"OnePart", kSmall, {65536}, 4096, 1, 2, 80},
      {"CodesAndScales", kSmall, {65536, 2048, 32768, 1024}, 8192, 1, 2, 80},
      {"OddSizes", kSmall, {100004, 12, 4, 65540}, 4096, 1, 3, 60},
      {"Tiny", kSmall, {16}, 16, 2, 2, 80},
      {"Tight", kTight, {65536, 1024}, 4096, 1, 4, 80},
      {"ByLayer", kByLayer, {65536, 1024}, 4096, 1, 4, 80},
      {"Lrfu", kFrequent, {65536, 1024}, 4096, 1, 4, 80},
      {"FewTransfers", kFewTransfers, {65536, 1024}, 4096, 1, 4, 80},
      {"LeastStale", kStale, {65536, 1024}, 4096, 1, 4, 80},
      {"Crowded", kCrowded, {65536, 1024}, 4096, 8, 4, 80},
      {"Wide", kWide, {262144, 4096, 131072, 4096}, 65536, 1, 4, 60},
      {"Batch", kWide, {65536, 4096}, 16384, 8, 4, 30},
  };
  return all;
}

constexpr int kDepths = 3;

/// A step of a model whose layers do nothing but read the experts they chose, recorded as one CUDA
/// graph.
class RecordedStep {
 public:
  RecordedStep(DeviceCache& cache, int tokens, int top_k, bool foresees, int mover_blocks,
               int rounds = 1)
      : cache_(cache),
        tokens_(tokens),
        top_k_(top_k),
        foresees_(foresees),
        mover_blocks_(mover_blocks),
        rounds_(rounds),
        layers_(cache.tables().shape.layers),
        experts_(cache.tables().shape.experts),
        chosen_(static_cast<size_t>(layers_ * tokens * top_k) * sizeof(int64_t)),
        scores_(static_cast<size_t>(layers_ * tokens * kDepths * experts_) * sizeof(float)),
        rules_(std::span<const DepthRule>(std::vector<DepthRule>(kDepths, {1, 0, 0, 0.5F}))),
        worth_(std::span<const float>(std::vector<float>(kVictimAges, 0.0F))),
        wrong_(sizeof(unsigned long long)) {
    check_cuda(cudaMemset(wrong_.as<void>(), 0, sizeof(unsigned long long)));
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    check_cuda(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking));
    check_cuda(cudaEventCreateWithFlags(&begun_, cudaEventDisableTiming));
    check_cuda(cudaEventCreateWithFlags(&moved_, cudaEventDisableTiming));
    cudaGraph_t graph = nullptr;
    check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    queue();
    check_cuda(cudaStreamEndCapture(stream_, &graph));
    check_cuda(cudaGraphInstantiate(&graph_, graph, 0));
    check_cuda(cudaGraphDestroy(graph));
  }
  ~RecordedStep() {
    cudaGraphExecDestroy(graph_);
    cudaEventDestroy(begun_);
    cudaEventDestroy(moved_);
    cudaStreamDestroy(side_);
    cudaStreamDestroy(stream_);
  }
  RecordedStep(const RecordedStep&) = delete;
  RecordedStep& operator=(const RecordedStep&) = delete;

  void run(std::span<const int64_t> chosen, std::span<const float> scores) {
    check_cuda(cudaMemcpyAsync(chosen_.as<void>(), chosen.data(), chosen.size_bytes(),
                               cudaMemcpyHostToDevice, stream_));
    check_cuda(cudaMemcpyAsync(scores_.as<void>(), scores.data(), scores.size_bytes(),
                               cudaMemcpyHostToDevice, stream_));
    check_cuda(cudaGraphLaunch(graph_, stream_));
    check_cuda(cudaStreamSynchronize(stream_));
  }
  unsigned long long wrong_words() const {
    unsigned long long wrong = 0;
    check_cuda(cudaMemcpy(&wrong, wrong_.as<void>(), sizeof(wrong), cudaMemcpyDeviceToHost));
    return wrong;
  }

 private:
  void queue() {
    const CacheTables& tables = cache_.tables();
    check_cuda(cache_begin_step(tables, stream_));
    if (mover_blocks_ > 0) {
      check_cuda(cudaEventRecord(begun_, stream_));
      check_cuda(cudaStreamWaitEvent(side_, begun_));
      check_cuda(cache_run_mover(tables, cache_.parts(), mover_blocks_, side_));
      check_cuda(cudaEventRecord(moved_, side_));
    }
    for (int layer = 0; layer < layers_; ++layer) {
      const CacheEvent event{
          .layer = layer,
          .tokens = tokens_,
          .top_k = top_k_,
          .chosen = chosen_.as<int64_t>() + static_cast<ptrdiff_t>(layer * tokens_ * top_k_)};
      const Foreseen foreseen{
          .scores =
              scores_.as<float>() + static_cast<ptrdiff_t>(layer * tokens_ * kDepths * experts_),
          .token_stride = int64_t{kDepths} * experts_,
          .depths = foresees_ ? kDepths : 0,
          .tokens = tokens_,
          .rules = rules_.as<DepthRule>(),
          .victim_worth = worth_.as<float>()};
      check_cuda(cache_look_up(tables, event, cache_.parts(), stream_));
      check_cuda(cache_fetch(tables, cache_.parts(), 8, stream_));
      check_cuda(testing::read_slots(tables, cache_.parts(), event, rounds_,
                                     wrong_.as<unsigned long long>(), stream_));
      if (foreseen.depths > 0) {
        check_cuda(cache_foresee(tables, cache_.parts(), layer, foreseen, stream_));
      }
    }
    check_cuda(cache_end_step(tables, stream_));
    if (mover_blocks_ > 0) check_cuda(cudaStreamWaitEvent(stream_, moved_));
    // What a model does behind its layers begins early, too.
    const int last = layers_ - 1;
    const CacheEvent event{
        .layer = last,
        .tokens = tokens_,
        .top_k = top_k_,
        .chosen = chosen_.as<int64_t>() + static_cast<ptrdiff_t>(last * tokens_ * top_k_)};
    check_cuda(testing::read_slots(tables, cache_.parts(), event, 1,
                                   wrong_.as<unsigned long long>(), stream_));
  }

  DeviceCache& cache_;
  int tokens_;
  int top_k_;
  bool foresees_;
  int mover_blocks_;
  int rounds_;
  int layers_;
  int experts_;
  DeviceBytes chosen_;
  DeviceBytes scores_;
  DeviceBytes rules_;
  DeviceBytes worth_;
  DeviceBytes wrong_;
  cudaStream_t stream_ = nullptr;
  cudaStream_t side_ = nullptr;
  cudaEvent_t begun_ = nullptr;
  cudaEvent_t moved_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
};

/// Scores of one step, [L, T, D, E], that mostly tell what the next layers choose; all different.
std::vector<float> scores_of(const Case& here, const RandomChoices& choices, int step,
                             Random& random) {
  std::vector<float> scores;
  for (int layer = 0; layer < here.shape.layers; ++layer) {
    for (int token = 0; token < here.tokens; ++token) {
      for (int depth = 0; depth < kDepths; ++depth) {
        const int target = layer + 1 + depth;
        for (int e = 0; e < here.shape.experts; ++e) {
          bool is_chosen = false;
          if (target < here.shape.layers) {
            const auto row = choices.at(step, target)
                                 .subspan(static_cast<size_t>(token * here.top_k),
                                          static_cast<size_t>(here.top_k));
            is_chosen = std::ranges::find(row, e) != row.end();
          }
          scores.push_back(static_cast<float>((is_chosen ? 1 : -2) + random.normal()));
        }
      }
    }
  }
  return scores;
}

class Fetch : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "no CUDA device on this machine";
    }
  }
  /// Runs all steps and holds the books together.
  static void run(bool foresees, int mover_blocks, uint32_t chaos) {
    const Case here = GetParam();
    DeviceCache cache(here.shape, here.part_bytes, here.piece_bytes);
    cache.host().control->chaos = chaos;
    cache.upload();
    const RandomChoices choices(here.shape.layers, here.shape.experts, here.tokens, here.top_k,
                                here.steps);
    RecordedStep recorded(cache, here.tokens, here.top_k, foresees, mover_blocks);
    Random random(3);
    int64_t uses = 0;
    for (int step = 0; step < here.steps; ++step) {
      recorded.run(
          choices.all().subspan(static_cast<size_t>(choices.offset(step, 0)),
                                static_cast<size_t>(here.shape.layers * here.tokens * here.top_k)),
          scores_of(here, choices, step, random));
      ASSERT_EQ(recorded.wrong_words(), 0U) << "step " << step;
      for (int layer = 0; layer < here.shape.layers; ++layer) {
        std::vector<int64_t> row(choices.at(step, layer).begin(), choices.at(step, layer).end());
        std::ranges::sort(row);
        uses += std::ranges::unique(row).begin() - row.begin();
      }
    }
    cache.download();
    expect_whole(cache.host(), uses, foresees);
  }
  static void expect_whole(const CacheTables& books, int64_t uses, bool foresees) {
    const CacheShape& shape = books.shape;
    std::vector<int> used(static_cast<size_t>(shape.layers));
    for (int slot = 0; slot < shape.slots; ++slot) {
      const int owner = books.slots[slot].owner;
      if (owner < 0) continue;
      ++used[shape.by_layer ? static_cast<size_t>(owner / shape.experts) : 0];
      EXPECT_EQ(books.slot_of[owner], slot);
    }
    int held = 0;
    for (int i = 0; i < shape.layers * shape.experts; ++i) {
      const int slot = books.slot_of[i];
      if (slot < 0 || slot >= shape.slots) continue;
      ++held;
      EXPECT_EQ(books.slots[slot].owner, i);
    }
    int all = 0;
    for (int layer = 0; layer < shape.layers; ++layer) {
      all += used[static_cast<size_t>(layer)];
      EXPECT_EQ(books.used[layer], used[static_cast<size_t>(layer)]) << layer;
    }
    EXPECT_EQ(all, held);
    int64_t found = 0;
    int64_t prefetched = 0;
    int64_t useful = 0;
    int64_t wasted = 0;
    int64_t late = 0;
    for (int layer = 0; layer < shape.layers; ++layer) {
      const CacheCounts& counts = books.counts[layer];
      found += counts.hits + counts.late + counts.misses;
      prefetched += counts.prefetched;
      useful += counts.useful;
      wasted += counts.wasted;
      late += counts.late;
    }
    EXPECT_EQ(found, uses);
    EXPECT_LE(useful + wasted, prefetched);
    EXPECT_LE(late, useful);
    if (foresees && shape.slots > 30) {
      EXPECT_GT(useful, 0);
    } else if (!foresees) {
      EXPECT_EQ(prefetched, 0);
    }
  }
};

TEST_P(Fetch, BringsWhatIsMissing) {
  run(false, 0, 0);
}
TEST_P(Fetch, FinishesWhatIsForeseenWithoutTheMover) {
  run(true, 0, 0);
}
TEST_P(Fetch, TheMoverBringsWhatIsForeseen) {
  run(true, 4, 0);
}
TEST_P(Fetch, DelaysAndOtherOrdersChangeNoByte) {
  for (const uint32_t chaos : {1U, 2U, 3U}) run(true, 4, chaos);
}

// Without the mover what is foreseen stays on its way until it is used or dropped: then the books
// are those of offload::ExpertCache, which is told the same.
TEST_P(Fetch, ForeseesAsTheHostDoes) {
  const Case here = GetParam();
  const CacheShape& shape = here.shape;
  if (here.tokens > 1) GTEST_SKIP() << "probabilities of several tokens round";
  const offload::ExpertGrid grid{shape.layers, shape.experts};
  using Kind = offload::Policy::Kind;
  const offload::Policy policy{.kind = shape.policy == SlotPolicy::kLrfu ? Kind::kLrfu
                                       : shape.policy == SlotPolicy::kLeastStale
                                           ? Kind::kLeastStale
                                           : Kind::kLruByToken,
                               .by_layer = shape.by_layer,
                               .bypass = false,
                               .half_life = shape.half_life};
  offload::ExpertCache reference(grid, policy, shape.slots, here.top_k);
  DeviceCache cache(shape, {16}, 16);
  const RandomChoices choices(shape.layers, shape.experts, 1, here.top_k, here.steps);
  RecordedStep recorded(cache, 1, here.top_k, true, 0);
  Random random(3);
  int64_t prefetched = 0;
  for (int step = 0; step < here.steps; ++step) {
    const std::vector<float> scores = scores_of(here, choices, step, random);
    recorded.run(choices.all().subspan(static_cast<size_t>(choices.offset(step, 0)),
                                       static_cast<size_t>(shape.layers * here.top_k)),
                 scores);
    std::vector<std::vector<size_t>> pinned(static_cast<size_t>(shape.layers));
    std::vector<std::vector<size_t>> moving(static_cast<size_t>(shape.layers));
    int64_t on_the_way = 0;
    for (int layer = 0; layer < shape.layers; ++layer) {
      std::vector<uint16_t> experts;
      for (const int64_t e : choices.at(step, layer)) experts.push_back(static_cast<uint16_t>(e));
      auto& mine = pinned[static_cast<size_t>(layer)];
      for (const size_t index : moving[static_cast<size_t>(layer)]) {
        const auto e = static_cast<uint16_t>(index % static_cast<size_t>(shape.experts));
        if (std::ranges::find(experts, e) != experts.end()) continue;
        reference.remove(index);
        std::erase(mine, index);
        --on_the_way;  // those that are used end at the next lookup
      }
      reference.serve({step, layer, experts, {}});
      // The device keeps what the running products read.
      std::vector<size_t> running;
      for (const uint16_t e : experts) {
        if (reference.holds(layer, e)) running.push_back(grid.index(layer, e));
      }
      for (const size_t index : running) reference.pin(index);
      for (int depth = 0; depth < kDepths; ++depth) {
        const int target = layer + 1 + depth;
        if (target >= shape.layers) break;
        const float* row =
            scores.data() + static_cast<ptrdiff_t>((layer * kDepths + depth) * shape.experts);
        for (int e = 0; e < shape.experts; ++e) {
          const size_t index = grid.index(target, e);
          auto& of_target = pinned[static_cast<size_t>(target)];
          if (row[e] >= 0 && reference.holds(target, e) &&
              std::ranges::find(of_target, index) == of_target.end()) {
            reference.pin(index);
            of_target.push_back(index);
          }
        }
      }
      for (int depth = 0; depth < kDepths; ++depth) {
        const int target = layer + 1 + depth;
        if (target >= shape.layers) break;
        const float* row =
            scores.data() + static_cast<ptrdiff_t>((layer * kDepths + depth) * shape.experts);
        std::vector<int> wanted;
        for (int e = 0; e < shape.experts; ++e) {
          if (row[e] >= 0 && !reference.holds(target, e)) wanted.push_back(e);
        }
        std::ranges::sort(wanted, [&](int a, int b) { return row[a] > row[b]; });
        if (wanted.size() > 8) wanted.resize(8);
        for (const int e : wanted) {
          if (on_the_way >= shape.transfers) break;
          const size_t index = grid.index(target, e);
          if (!reference.insert(index, layer)) continue;
          pinned[static_cast<size_t>(target)].push_back(index);
          moving[static_cast<size_t>(target)].push_back(index);
          ++on_the_way;
          ++prefetched;
        }
      }
      for (const size_t index : running) reference.unpin(index);
      // What was foreseen of this layer stays until all that may replace it has been decided.
      for (const size_t index : mine) reference.unpin(index);
      // What came late has arrived when the next layer is looked up.
      for (const size_t index : moving[static_cast<size_t>(layer)]) {
        const auto e = static_cast<uint16_t>(index % static_cast<size_t>(shape.experts));
        if (std::ranges::find(experts, e) != experts.end()) --on_the_way;
      }
    }
    cache.download();
    for (int layer = 0; layer < shape.layers; ++layer) {
      for (int e = 0; e < shape.experts; ++e) {
        const int slot = cache.host().slot_of[grid.index(layer, e)];
        ASSERT_EQ(slot >= 0 && slot < shape.slots, reference.holds(layer, e))
            << "step " << step << " layer " << layer << " expert " << e;
      }
    }
  }
  int64_t counted = 0;
  for (int layer = 0; layer < shape.layers; ++layer) {
    counted += cache.host().counts[layer].prefetched;
  }
  EXPECT_EQ(counted, prefetched);
}

INSTANTIATE_TEST_SUITE_P(Cache, Fetch, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace foregate::kernels
