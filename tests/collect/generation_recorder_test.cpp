#include "collect/generation_recorder.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <map>
#include <optional>

#include "../engine/model_test.h"
#include "base/random.h"
#include "engine/generation/generator.h"

namespace foregate::collect {
namespace {

using engine::GenerationRequest;

struct Recorded : engine::GenerationListener {
  explicit Recorded(GenerationRecorder& target) : recorder(target) {}
  void on_step(std::span<const engine::StepPart> parts) override { recorder.on_step(parts); }
  void on_result(const engine::GenerationResult& result) override {
    ids[result.id] = result.ids;
    texts[result.id] = recorder.take(result.id);
  }
  GenerationRecorder& recorder;
  std::map<int64_t, std::vector<int32_t>> ids;
  std::map<int64_t, RecordedText> texts;
};

// What one pass over the whole text decides.
BatchResult prefill(engine::Engine& engine, const std::vector<int32_t>& ids) {
  engine::StepBatch batch;
  batch.add(ids);
  Recorder recorder(engine.geometry(), {.logits = true, .features = true});
  recorder.begin(batch.num_tokens(), torch::arange(batch.num_tokens()));
  engine.step(batch, recorder);
  BatchResult result;
  recorder.finish(result);
  tensor::wait_for(result.ready);
  return result;
}

using GenerationRecorderTest = testing::ModelTest;

// In batches, prompts in pieces, with texts that make room and are run again: every decision is
// that of one pass over the text.
TEST_P(GenerationRecorderTest, RecordsWhatOnePassWouldDecide) {
  engine::Engine engine(directory_, {.routing_only = false});
  engine::Generator generator(engine,
                              {.cache_bytes = 80 * engine.cache_bytes_per_token(),
                               .max_sequences = 4,
                               .step_tokens = 9,
                               .page_tokens = 4},
                              nullptr);
  Random random(7);
  std::vector<GenerationRequest> requests;
  for (int64_t id = 0; id < 7; ++id) {
    GenerationRequest request;
    request.id = id;
    request.prompt.resize(3 + random.below(20));
    for (int32_t& token : request.prompt) token = static_cast<int32_t>(random.below(90));
    request.max_tokens = 30;
    request.sampling.temperature = 1;
    request.stream = static_cast<uint64_t>(id);
    requests.push_back(request);
  }
  GenerationRecorder recorder(engine.geometry(), {.logits = true, .features = true},
                              [](int64_t id) { return id % 2 == 0; });
  Recorded recorded(recorder);
  size_t next = 0;
  const engine::GenerationStats stats = generator.run(
      [&]() -> std::optional<GenerationRequest> {
        return next == requests.size() ? std::nullopt : std::optional(requests[next++]);
      },
      recorded, silent_run().stop, recorder);
  EXPECT_GT(stats.preemptions, 0);
  ASSERT_EQ(recorded.texts.size(), requests.size());
  for (auto& [id, text] : recorded.texts) {
    std::vector<int32_t> ids = requests[static_cast<size_t>(id)].prompt;
    ids.insert(ids.end(), recorded.ids[id].begin(), recorded.ids[id].end() - 1);
    EXPECT_EQ(text.ids, ids) << "the last token is not run";
    const BatchResult expected = prefill(engine, ids);
    EXPECT_TRUE(text.routing.experts.equal(expected.experts)) << id;
    EXPECT_TRUE(text.routing.gate_weights.allclose(expected.gate_weights, 2e-3, 2e-3)) << id;
    EXPECT_TRUE(text.routing.router_logits.allclose(expected.router_logits, 2e-3, 2e-3)) << id;
    ASSERT_EQ(text.routing.router_inputs.defined(), id % 2 == 0);
    if (id % 2 != 0) continue;
    EXPECT_TRUE(text.routing.router_inputs.allclose(expected.router_inputs, 1e-3, 1e-4)) << id;
    EXPECT_TRUE(text.routing.residual.allclose(expected.residual, 2e-2, 1e-3)) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GenerationRecorderTest,
                         ::testing::Values("plain", "mixed-dense", "mixtral", "olmoe", "qwen3",
                                           "deepseek", "deepseek_v2", "deepseek_v3", "glm4_moe",
                                           "minimax_m2", "ernie4_5_moe", "gpt-oss", "seed-geometry",
                                           "mini-qwen"),
                         testing::test_name);

}  // namespace
}  // namespace foregate::collect
