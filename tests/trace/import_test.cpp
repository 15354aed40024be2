#include "trace/import/import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/half.h"
#include "import_fixture.h"
#include "npy_fixture.h"
#include "support/recorded_run.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/reader.h"
#include "trace/split/split.h"
#include "trace/token_names.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<float> floats(const std::vector<uint16_t>& halves) {
  std::vector<float> values;
  for (const uint16_t half : halves) values.push_back(half_to_float(half));
  return values;
}

// --- npy ---------------------------------------------------------------------------------------

class RequestArraysTest : public ImportTest {
 protected:
  void SetUp() override {
    ImportTest::SetUp();
    // Two texts of 2 and 1 tokens, 2 layers, k = 2.
    put("a.npy", npy_bytes("<i2", {2, 2, 2}, std::vector<int16_t>{3, 1, 0, 2, 5, 4, 7, 6}));
    put("b.npy", npy_bytes("<i2", {1, 2, 2}, std::vector<int16_t>{1, 0, 2, 3}));
    put("requests.jsonl", line("a.npy", R"(["x", "y"])") + line("b.npy", R"(["y"])"));
  }
  static std::string line(const std::string& file, const std::string& tokens) {
    return R"({"routed_experts": ")" + file + R"(", "tokens": )" + tokens + "}\n";
  }
};

TEST_F(RequestArraysTest, ReadsAnArrayARequest) {
  const ImportSummary summary = run(ImportFormat::kNpy);
  EXPECT_EQ(summary.manifest.geometry.num_experts, 8);
  EXPECT_EQ(summary.manifest.geometry.num_moe_layers, 2);
  EXPECT_EQ(summary.manifest.geometry.top_k, 2);
  EXPECT_EQ(summary.manifest.model, "in");
  EXPECT_EQ(summary.manifest.dtype, "unknown");
  EXPECT_FALSE(summary.manifest.gate_weights);
  EXPECT_EQ(summary.manifest.token_ids, TokenIds::kHashed);
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 2);
  EXPECT_THAT(texts[0].experts, ElementsAre(3, 1, 0, 2, 5, 4, 7, 6));
  EXPECT_THAT(texts[0].token_ids, ElementsAre(hashed_token_id("x"), hashed_token_id("y")));
  EXPECT_THAT(texts[1].experts, ElementsAre(1, 0, 2, 3));
  EXPECT_THAT(texts[1].token_ids, ElementsAre(hashed_token_id("y")));
  EXPECT_EQ(texts[1].sample, 1);
  EXPECT_EQ(bytes_of(output() / kTokensName), "[\n  \"x\",\n  \"y\"\n]\n");
}

TEST_F(RequestArraysTest, TellsItsRunContextAndNobodyElse) {
  testing::RecordedRun recorded;
  ::testing::internal::CaptureStderr();
  run(ImportFormat::kNpy, "in", recorded.context());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ASSERT_EQ(recorded.jobs().size(), 1);
  const auto job = recorded.jobs().front();
  EXPECT_EQ(job.info.label, "importing");
  EXPECT_EQ(job.info.unit, "texts");
  EXPECT_EQ(job.info.total, 2);
  EXPECT_EQ(job.done, 2);
  EXPECT_TRUE(job.finished);
  EXPECT_THAT(recorded.messages(), ElementsAre(HasSubstr("8 experts inferred")));
}

TEST_F(RequestArraysTest, StopsWhenAskedTo) {
  for (const int64_t updates : {0, 1}) {
    testing::RecordedRun recorded;
    recorded.stop_after(updates);
    EXPECT_THROW(run(ImportFormat::kNpy, "in", recorded.context()), InterruptedError) << updates;
    EXPECT_FALSE(fs::exists(output()));
    EXPECT_FALSE(fs::exists(output().string() + ".tmp"));
  }
}

TEST_F(RequestArraysTest, DuplicatePromptsStayOnOneSide) {
  std::string list;
  for (int i = 0; i < 40; ++i) {
    // Every prompt twice, the second time recorded with another routing.
    list += line(i % 2 == 0 ? "b.npy" : "c.npy", fmt::format(R"(["prompt {}"])", i / 2));
  }
  put("c.npy", npy_bytes("<i2", {1, 2, 2}, std::vector<int16_t>{4, 5, 6, 7}));
  put("requests.jsonl", list);
  run(ImportFormat::kNpy);
  const std::vector<Split> splits = split_traces(TraceDirectory(output()));
  ASSERT_EQ(splits.size(), 40);
  for (size_t i = 0; i < 40; i += 2) EXPECT_EQ(splits[i], splits[i + 1]);
  EXPECT_EQ(std::count(splits.begin(), splits.end(), Split::kTest), 4);
}

TEST_F(RequestArraysTest, TakesWhatTheUserKnows) {
  options_.num_experts = 64;
  options_.model_name = "org/model";
  const Manifest manifest = run(ImportFormat::kNpy).manifest;
  EXPECT_EQ(manifest.geometry.num_experts, 64);
  EXPECT_EQ(manifest.model, "org/model");
}

TEST_F(RequestArraysTest, RefusesTooFewExperts) {
  options_.num_experts = 7;
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("use expert id 7"));
}

TEST_F(RequestArraysTest, RefusesAnExistingOutput) {
  run(ImportFormat::kNpy);
  const std::string before = bytes_of(output() / kManifestName);
  EXPECT_THAT(testing::error_of([&] { run(ImportFormat::kNpy); }), HasSubstr("exists already"));
  EXPECT_EQ(bytes_of(output() / kManifestName), before);
}

TEST_F(RequestArraysTest, RefusesBrokenInput) {
  put("requests.jsonl", line("a.npy", R"(["x"])"));
  EXPECT_THAT(problem(ImportFormat::kNpy), AllOf(HasSubstr("line 1"), HasSubstr("1 tokens")));
  put("requests.jsonl", line("a.npy", R"(["x", "y"])") + line("gone.npy", R"(["y"])"));
  EXPECT_THAT(problem(ImportFormat::kNpy), AllOf(HasSubstr("line 2"), HasSubstr("gone.npy")));
  put("requests.jsonl", line("a.npy", R"(["x", 2])"));
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("list of strings"));
  put("requests.jsonl", line("a.npy", R"(["x", "y"])") + R"({"routed_experts": "b.npy"})");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("expected the same everywhere"));
  put("requests.jsonl", "\n \n");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("empty"));
  put("requests.jsonl", "{\"routed_experts\": ");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("not valid JSON"));
}

TEST_F(RequestArraysTest, RefusesBrokenArrays) {
  const auto with = [&](const std::string& bytes) {
    put("b.npy", bytes);
    return problem(ImportFormat::kNpy);
  };
  EXPECT_THAT(with(npy_bytes("<i2", {1, 2, 2}, std::vector<int16_t>{1, 0, -1, 3})),
              AllOf(HasSubstr("expert id -1 at [0, 1, 0]"), HasSubstr("b.npy")));
  EXPECT_THAT(with(npy_bytes("<i4", {1, 2, 2}, std::vector<int32_t>{1, 0, 70000, 3})),
              HasSubstr("expert id 70000"));
  EXPECT_THAT(with(npy_bytes("<i2", {1, 2, 2}, std::vector<int16_t>{1, 0, 3, 3})),
              AllOf(HasSubstr("b.npy"), HasSubstr("expert 3 twice")));
  EXPECT_THAT(with(npy_bytes("<i2", {1, 2, 1}, std::vector<int16_t>{1, 0})),
              HasSubstr("the files before have"));
  EXPECT_THAT(with(npy_bytes("<i2", {2, 2}, std::vector<int16_t>{1, 0, 2, 3})),
              HasSubstr("expected integers [tokens, MoE layers, k]"));
  EXPECT_THAT(with(npy_bytes("<f4", {1, 2, 2}, std::vector<float>{1, 0, 2, 3})),
              HasSubstr("expected integers"));
  EXPECT_THAT(with(npy_bytes("<i2", {0, 2, 2}, std::vector<int16_t>{})), HasSubstr("at least one"));
  EXPECT_THAT(with(npy_bytes("<i2", {0, INT64_MAX, 2}, std::vector<int16_t>{})),
              HasSubstr("MoE layers"));
}

class StackedArraysTest : public ImportTest {
 protected:
  void SetUp() override {
    ImportTest::SetUp();
    // Texts of 2 and 1 rows; the second decision of the first row is not ranked.
    put("s.experts.npy",
        npy_bytes("|u1", {3, 2, 2}, std::vector<uint8_t>{3, 1, 0, 2, 5, 4, 7, 6, 1, 0, 2, 3}));
    put("s.probs.npy", probs({.7F, .3F, .25F, .75F, .5F, .5F, 1, 0, .6F, .4F, .9F, .1F}));
    // The first text is recorded from position 1 on: one token of the prompt, one generated.
    put("s.meta.jsonl",
        R"({"first_row": 0, "n_tokens": 2, "first_pos": 1, "n_gen": 2, "tokens": ["a", "b", "c", "d"]})"
        "\n"
        R"({"first_row": 2, "n_tokens": 1, "tokens": ["c"]})");
  }
  static std::string probs(const std::vector<float>& values) {
    return npy_bytes("<f4", {3, 2, 2}, values);
  }
};

TEST_F(StackedArraysTest, ReadsRowsAndRanksThem) {
  const Manifest manifest = run(ImportFormat::kNpy).manifest;
  EXPECT_TRUE(manifest.gate_weights);
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 2);
  EXPECT_EQ(texts[0].dataset, "s");
  EXPECT_THAT(texts[0].experts, ElementsAre(3, 1, 2, 0, 5, 4, 7, 6));
  EXPECT_THAT(
      texts[0].gate_weights,
      ElementsAre(float_to_half(.7F), float_to_half(.3F), float_to_half(.75F), float_to_half(.25F),
                  float_to_half(.5F), float_to_half(.5F), float_to_half(1), float_to_half(0)));
  EXPECT_THAT(texts[0].token_ids, ElementsAre(hashed_token_id("b"), hashed_token_id("c")));
  EXPECT_EQ(texts[0].prompt_tokens, 1) << "b; c is the first generated one";
  EXPECT_THAT(texts[1].token_ids, ElementsAre(hashed_token_id("c")));
  EXPECT_EQ(texts[1].prompt_tokens, 1);
}

TEST_F(StackedArraysTest, TakesTheFileItself) {
  run(ImportFormat::kNpy, "in/s.experts.npy");
  EXPECT_EQ(traces().size(), 2);
}

TEST_F(StackedArraysTest, RefusesBrokenWeights) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  put("s.probs.npy", probs({.7F, .3F, .25F, nan, .5F, .5F, 1, 0, .6F, .4F, .9F, .1F}));
  EXPECT_THAT(problem(ImportFormat::kNpy),
              AllOf(HasSubstr("s.meta.jsonl, line 1"), HasSubstr("nan at token 0, MoE layer 1"),
                    HasSubstr("finite")));
  put("s.probs.npy", probs({.7F, -.3F, .25F, .1F, .5F, .5F, 1, 0, .6F, .4F, .9F, .1F}));
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("not negative"));
  put("s.probs.npy", npy_bytes("<f4", {3, 2, 1}, std::vector<float>(6, 1)));
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("its shape is not that of"));
  put("s.probs.npy", npy_bytes("|u1", {3, 2, 2}, std::vector<uint8_t>(12, 1)));
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("expected floats"));
}

TEST_F(StackedArraysTest, RefusesRowsThatAreNotThere) {
  put("s.meta.jsonl", R"({"first_row": 2, "n_tokens": 2})");
  EXPECT_THAT(problem(ImportFormat::kNpy), AllOf(HasSubstr("n_tokens"), HasSubstr("[1, 1]")));
  put("s.meta.jsonl", R"({"first_row": 3, "n_tokens": 1})");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("first_row"));
  put("s.meta.jsonl", R"({"first_row": 0, "n_tokens": 2, "tokens": ["a"]})");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("expected at least first_pos + n_tokens = 2"));
  fs::remove(folder_.path() / "in" / "s.meta.jsonl");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("s.meta.jsonl"));
}

TEST_F(ImportTest, NpySaysWhatItLooksFor) {
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("neither requests.jsonl nor"));
  EXPECT_THAT(problem(ImportFormat::kNpy, "gone"), HasSubstr("no such file"));
  options_.skip = 1;
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("--skip"));
}

// --- a model's tokenizer -------------------------------------------------------------------------

/// Spells a space as an underscore; ids 3 and 4 are both read as "?".
class FewTokens : public TokenDictionary {
 public:
  std::string name() const override { return "few/tokenizer.json"; }
  std::string sha256() const override { return std::string(64, 'a'); }
  int32_t size() const override { return 6; }
  std::string spelled(int32_t id) const override {
    const char* spellings[] = {"x", "_x", "y", "<0x80>", "<0x81>", ""};
    return spellings[id];
  }
  std::string decoded(int32_t id) const override {
    const char* texts[] = {"x", " x", "y", "?", "?", ""};
    return texts[id];
  }
};

TEST_F(RequestArraysTest, TheTokenizerGivesStringsTheirIds) {
  options_.tokenizer = std::make_shared<FewTokens>();
  const ImportSummary summary = run(ImportFormat::kNpy);
  EXPECT_EQ(summary.manifest.token_ids, TokenIds::kTokenizer);
  EXPECT_EQ(summary.manifest.tokenizer_sha256, std::string(64, 'a'));
  EXPECT_EQ(summary.manifest.geometry.vocab_size, 6);
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(0, 2));
  EXPECT_FALSE(fs::exists(output() / kTokensName));
}

TEST_F(RequestArraysTest, AsSpelledOrAsRead) {
  options_.tokenizer = std::make_shared<FewTokens>();
  put("requests.jsonl", line("a.npy", R"(["_x", "<0x81>"])"));
  run(ImportFormat::kNpy);
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(1, 4));
  fs::remove_all(output());
  put("requests.jsonl", line("a.npy", R"([" x", "?"])"));
  const ImportSummary summary = run(ImportFormat::kNpy);
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(1, 3)) << "the lower of two";
  EXPECT_EQ(summary.left_out.ambiguous, 1);
  fs::remove_all(output());
  put("requests.jsonl", line("a.npy", R"([" x", "_x"])"));
  EXPECT_THAT(
      problem(ImportFormat::kNpy),
      AllOf(HasSubstr("1 of 2 different tokens are not in few/tokenizer.json"), HasSubstr("' x'")));
}

TEST_F(RequestArraysTest, TheTokenizerMustFit) {
  options_.tokenizer = std::make_shared<FewTokens>();
  put("requests.jsonl", R"({"routed_experts": "a.npy", "token_ids": [5, 6]})");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("expected ids of a vocabulary of 6"));
  put("requests.jsonl", R"({"routed_experts": "a.npy"})");
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("does not name its tokens"));
  put("requests.jsonl", R"({"routed_experts": "a.npy", "token_ids": [5, 0]})");
  EXPECT_EQ(run(ImportFormat::kNpy).manifest.tokenizer_sha256, std::string(64, 'a'));
}

TEST_F(RequestArraysTest, TwoImportsAgreeOnIds) {
  run(ImportFormat::kNpy);
  const std::vector<int32_t> before = traces().at(0).token_ids;
  fs::remove_all(output());
  put("requests.jsonl", line("b.npy", R"(["z"])") + line("a.npy", R"(["x", "y"])"));
  run(ImportFormat::kNpy);
  EXPECT_EQ(traces().at(1).token_ids, before);
}

// --- JSON lines --------------------------------------------------------------------------------

std::string route(const std::string& request, int token, int layer, const std::string& experts,
                  const std::string& weights = "") {
  return R"({"type": "route", "req_id": ")" + request + R"(", "token_idx": )" +
         std::to_string(token) + R"(, "layer": )" + std::to_string(layer) + R"(, "topk_ids": )" +
         experts + (weights.empty() ? "" : R"(, "topk_weights": )" + weights) + "}\n";
}

TEST_F(ImportTest, ReadsInterleavedRequests) {
  put("log.jsonl",
      R"({"type": "meta", "model_id": "org/m"})"
      "\n" +
          route("r1", 0, 5, "[1, 2]", "[0.25, 0.5]") + route("r2", 0, 5, "[3, 0]", "[0.5, 0.5]") +
          route("r2", 0, 9, "[1, 0]", "[1, 0]") + route("r1", 0, 9, "[0, 1]", "[0.5, 0.25]") +
          route("r1", 1, 9, "[2, 3]", "[0.5, 0.25]") + route("r1", 1, 5, "[1, 3]", "[0.5, 0.25]"));
  const Manifest manifest = run(ImportFormat::kVllm).manifest;
  EXPECT_EQ(manifest.model, "org/m");
  EXPECT_THAT(manifest.geometry.moe_layers, ElementsAre(5, 9));
  EXPECT_EQ(manifest.token_ids, TokenIds::kUnique);
  EXPECT_FALSE(fs::exists(output() / kTokensName));
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 2);
  EXPECT_EQ(texts[0].sample, 1) << "r2 is whole first";
  EXPECT_THAT(texts[0].experts, ElementsAre(3, 0, 1, 0));
  EXPECT_THAT(texts[1].experts, ElementsAre(2, 1, 0, 1, 1, 3, 2, 3)) << "ranked";
  EXPECT_THAT(floats(texts[1].gate_weights),
              ElementsAre(.5F, .25F, .5F, .25F, .5F, .25F, .5F, .25F));
  EXPECT_THAT(texts[0].token_ids, ElementsAre(0));
  EXPECT_THAT(texts[1].token_ids, ElementsAre(1, 2)) << "no id twice";
}

TEST_F(ImportTest, ReadsProblems) {
  put("p.jsonl",
      R"({"dataset": "gsm8k", "problem_id": 4, "layer": 0, "experts": [7, 0], "gating_probs": [0.75, 0.25], "token_idx": 0})");
  run(ImportFormat::kVllm, "in/p.jsonl");
  EXPECT_EQ(traces().at(0).dataset, "gsm8k");
  EXPECT_THAT(traces().at(0).experts, ElementsAre(7, 0));
}

TEST_F(ImportTest, ANewStartIsANewText) {
  std::string log;
  for (const int tokens : {20, 3, 1}) {
    for (int layer = 0; layer < 2; ++layer) {
      for (int t = 0; t < tokens; ++t)
        log += route("r", t, layer, fmt::format("[{}]", tokens == 20 ? 4 : t));
    }
  }
  put("log.jsonl", log);
  const testing::RecordedRun recorded;
  run(ImportFormat::kVllm, "in", recorded.context());
  EXPECT_THAT(recorded.messages(), Contains(HasSubstr("--skip 40")));
  EXPECT_THAT(recorded.messages(), Contains(HasSubstr("begin again 2 times")));
  ASSERT_EQ(traces().size(), 3);
  EXPECT_EQ(traces()[1].num_tokens(), 3);

  fs::remove_all(output());
  options_.skip = 40;
  const testing::RecordedRun skipping;
  run(ImportFormat::kVllm, "in", skipping.context());
  EXPECT_THAT(skipping.messages(), Each(Not(HasSubstr("--skip"))));
  EXPECT_EQ(traces().size(), 2);
  fs::remove_all(output());
  options_.skip = 48;
  EXPECT_THAT(problem(ImportFormat::kVllm), HasSubstr("no routing rows are left"));
}

TEST_F(ImportTest, CutsBeforeAMissingDecisionIfAllowed) {
  const std::string log = route("r", 0, 0, "[1]") + route("r", 1, 0, "[1]") +
                          route("r", 2, 0, "[2]") + route("r", 0, 1, "[0]") +
                          route("r", 2, 1, "[0]");
  put("log.jsonl", log + route("q", 0, 1, "[1]"));
  EXPECT_THAT(problem(ImportFormat::kVllm),
              AllOf(HasSubstr("line 1"), HasSubstr("no decision of token 1 at layer 1"),
                    HasSubstr("1 of 6"), HasSubstr("--allow-missing")));
  options_.allow_missing = true;
  const ImportSummary summary = run(ImportFormat::kVllm);
  EXPECT_EQ(summary.cut_texts, 1);
  EXPECT_EQ(summary.dropped_texts, 1);
  EXPECT_EQ(summary.cut_tokens, 3);
  ASSERT_EQ(traces().size(), 1);
  EXPECT_THAT(traces()[0].experts, ElementsAre(1, 0));
  EXPECT_EQ(summary.manifest.datasets.at(0).skipped, 1);
}

TEST_F(ImportTest, ALogThatWasCutOff) {
  const std::string cut = "{\"type\": \"route\", \"req_i";
  const std::string log = R"({"type": "stats"})"
                          "\n" +
                          route("r", 0, 0, "[1]") + route("r", 0, 1, "[2]") +
                          route("r", 1, 0, "[3]");
  put("log.jsonl", log + cut);
  EXPECT_THAT(problem(ImportFormat::kVllm),
              AllOf(HasSubstr("line 5"), HasSubstr("--allow-missing")));
  options_.allow_missing = true;
  const ImportSummary summary = run(ImportFormat::kVllm);
  EXPECT_EQ(summary.left_out.broken_lines, 1);
  EXPECT_EQ(summary.left_out.without_routing, 1) << "neither meta nor route";
  EXPECT_EQ(summary.cut_tokens, 1);
  EXPECT_THAT(traces().at(0).experts, ElementsAre(1, 2));
}

TEST_F(ImportTest, ALogInSeveralFiles) {
  put("log.1.jsonl", route("r", 0, 0, "[1]") + route("r", 0, 1, "[2]"));
  put("log.2.jsonl", route("r", 1, 0, "[3]") + route("r", 1, 1, "[0]") + route("q", 0, 0, "[1]") +
                         route("q", 0, 1, "[1]"));
  run(ImportFormat::kVllm);
  ASSERT_EQ(traces().size(), 2);
  EXPECT_THAT(traces()[0].experts, ElementsAre(1, 2, 3, 0)) << "goes on in the next file";
}

TEST_F(ImportTest, AFarTokenCostsNoMemory) {
  put("log.jsonl", route("r", 0, 0, "[1]") + route("r", 2147483646, 0, "[1]"));
  EXPECT_THAT(problem(ImportFormat::kVllm), HasSubstr("no decision of token 1"));
  options_.allow_missing = true;
  EXPECT_EQ(run(ImportFormat::kVllm).manifest.num_tokens(), 1);
}

TEST_F(ImportTest, RefusesBrokenRows) {
  const auto with = [&](const std::string& text) {
    put("log.jsonl", route("r", 0, 0, "[1, 2]", "[0.5, 0.25]") + text);
    return problem(ImportFormat::kVllm);
  };
  EXPECT_THAT(with(R"({"a": 1, "b": 2})"), AllOf(HasSubstr("neither a text"), HasSubstr("a, b")));
  EXPECT_THAT(with("{\"type\": \"rou"), AllOf(HasSubstr("line 2"), HasSubstr("not valid JSON")));
  EXPECT_THAT(with("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 2, 3]", "[1, 0, 0]")), HasSubstr("3 experts"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 2]")), HasSubstr("in some rows and not in others"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 2]", "[1]")), HasSubstr("a weight for each of 2"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, -2]", "[1, 0]")), HasSubstr("expert ids from 0"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 65536]", "[1, 0]")), HasSubstr("expert ids from 0"));
  EXPECT_THAT(with(route("r", 1, 0, "[]", "[]")), HasSubstr("at least one expert"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 1]", "[1, 0]")), HasSubstr("expert 1 twice"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 2]", "[1, null]")), HasSubstr("list of numbers"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 2]", "[1e300, 0]")), HasSubstr("finite"));
  EXPECT_THAT(with(route("r", -1, 0, "[1, 2]", "[1, 0]")), HasSubstr("token_idx"));
  EXPECT_THAT(with(route("r", 1, 0, "[1, 2]", "[1, 0]") + route("r", 1, 0, "[1, 2]", "[1, 0]")),
              AllOf(HasSubstr("line 3"), HasSubstr("second time")));
  EXPECT_THAT(with(R"({"type": "route", "token_idx": 1, "layer": 0, "topk_ids": [1, 2]})"),
              HasSubstr("missing key 'req_id'"));
}

TEST_F(ImportTest, ReadsATextALine) {
  put("t.jsonl", R"({"routed_experts": [[[1], [2]], [[0], [3]]], "token_ids": [70, 80]})"
                 "\n"
                 R"({"routed_experts": [[[1], [1]]], "token_ids": [80]})");
  const Manifest manifest = run(ImportFormat::kVllm).manifest;
  EXPECT_EQ(manifest.geometry.num_experts, 4);
  EXPECT_EQ(manifest.token_ids, TokenIds::kTokenizer);
  EXPECT_THAT(traces().at(0).experts, ElementsAre(1, 2, 0, 3));
  EXPECT_THAT(traces().at(1).token_ids, ElementsAre(80));
}

TEST_F(ImportTest, RefusesRaggedTexts) {
  for (const char* experts : {"[[[1], [2]], [[0]]]", "[[[1], [2, 3]]]", "[[], []]", "[]", "[1]",
                              "[[1]]", "[[[]]]", "{}"}) {
    put("t.jsonl", std::string(R"({"routed_experts": )") + experts + "}");
    EXPECT_THAT(problem(ImportFormat::kVllm), HasSubstr("routed_experts")) << experts;
  }
  put("t.jsonl", R"({"routed_experts": [[[1.5]]]})");
  EXPECT_THAT(problem(ImportFormat::kVllm), HasSubstr("expert ids"));
}

// --- Megatron-LM -------------------------------------------------------------------------------

std::string pass(int rank, int step, int layer, const std::string& experts,
                 const std::string& more = "") {
  return fmt::format(
      R"({{"step": {}, "stage": "pre_dispatch", "block": "decoder", "layer": {}, "rank": {}, )"
      R"("topk": 2, "top_indices": {}{}}})"
      "\n",
      step, layer, rank, experts, more);
}

TEST_F(ImportTest, ReadsMegatronsRouterTrace) {
  put("router_trace_rank0.jsonl",
      pass(0, 0, 3, "[[1, 2], [0, 3]]", R"(, "num_tokens": 2, "hs_offset": 0)") +
          pass(0, 0, 4, "[[4, 5], [1, 2]]") + pass(0, 1, 3, "[[2, 6]]") +
          pass(0, 1, 4, "[[0, 1]]") +
          R"({"step": 1, "block": "mtp", "mtp_idx": 0, "layer": 0, "rank": 0, "top_indices": [[1, 2]]})");
  put("router_trace_rank1.jsonl", pass(1, 0, 3, "[[5, 7]]") + pass(1, 0, 4, "[[6, 7]]"));
  put("router_trace_rank2.jsonl", "");
  const ImportSummary summary = run(ImportFormat::kVllm);
  EXPECT_THAT(summary.manifest.geometry.moe_layers, ElementsAre(3, 4));
  EXPECT_FALSE(summary.manifest.gate_weights);
  EXPECT_EQ(summary.left_out.other_blocks, 1);
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 3);
  EXPECT_THAT(texts[0].experts, ElementsAre(1, 2, 4, 5, 0, 3, 1, 2));
  EXPECT_THAT(texts[1].experts, ElementsAre(2, 6, 0, 1));
  EXPECT_THAT(texts[2].experts, ElementsAre(5, 7, 6, 7));
}

TEST_F(ImportTest, MegatronsMicroBatchesAreTextsOfTheirOwn) {
  put("router_trace_rank0.jsonl", pass(0, 0, 1, "[[1, 2], [0, 3]]") +
                                      pass(0, 0, 2, "[[4, 5], [1, 2]]") +
                                      pass(0, 0, 1, "[[3, 1]]") + pass(0, 0, 2, "[[5, 0]]"));
  run(ImportFormat::kVllm);
  ASSERT_EQ(traces().size(), 2);
  EXPECT_THAT(traces()[1].experts, ElementsAre(3, 1, 5, 0));
}

// https://github.com/NVIDIA/Megatron-LM/pull/5220
TEST_F(ImportTest, RefusesMegatronsPipelineRanks) {
  put("router_trace_rank0.jsonl", pass(0, 0, 1, "[[1, 2]]") + pass(0, 0, 2, "[[4, 5]]"));
  put("router_trace_rank1.jsonl", pass(1, 0, 1, "[[3, 2]]") + pass(1, 0, 2, "[[4, 5]]"));
  put("router_trace_rank2.jsonl", pass(2, 0, 3, "[[1, 2]]") + pass(2, 0, 4, "[[4, 5]]"));
  EXPECT_THAT(problem(ImportFormat::kVllm),
              AllOf(HasSubstr("router_trace_rank2.jsonl, line 1: rank 2 has layers 3 to 4, and "
                              "rank 0 has 1 to 2"),
                    HasSubstr("pipeline parallelism"), Not(HasSubstr("--allow-missing"))));
  fs::remove(folder_ / "in/router_trace_rank2.jsonl");
  EXPECT_EQ(run(ImportFormat::kVllm).manifest.geometry.num_moe_layers, 2);
}

TEST_F(ImportTest, RefusesBrokenMegatronTraces) {
  const auto with = [&](const std::string& text) {
    put("router_trace_rank0.jsonl", text);
    return problem(ImportFormat::kVllm);
  };
  EXPECT_THAT(with(pass(0, 0, 1, "[[1, -1]]")), HasSubstr("expert ids from 0"));
  EXPECT_THAT(with(pass(0, 0, 1, "[1, 2]")), HasSubstr("a list of expert ids a token"));
  EXPECT_THAT(with(pass(0, 0, 1, "[[1, 2]]", R"(, "num_tokens": 2)")), HasSubstr("num_tokens"));
  EXPECT_THAT(with(pass(0, 0, 1, "[[1, 2]]") + pass(0, 0, 2, "[[1, 2], [3, 4]]")),
              HasSubstr("no decision of token 1 at layer 1"));
  EXPECT_THAT(with(pass(0, 0, 1, "[[1, 2]]") + pass(0, 0, 2, "[[1, 2, 3]]")),
              HasSubstr("3 experts"));
}

// --- CSV ---------------------------------------------------------------------------------------

constexpr const char* kHeader = "Layer ID,Batch Number,Token,Activated Expert IDs\n";

TEST_F(ImportTest, ReadsBatchesOfFiles) {
  put("b.csv", std::string(kHeader) + "1,0,\",\",\"[3, 1]\"\n2,0,\",\",\"[0, 2]\"\n");
  put("a.csv", std::string(kHeader) +
                   "1,0,x,\"[1, 2]\"\n1,0,y,\"[4,5]\"\n1,1,x,\"[6, 7]\"\n"
                   "2,0,x,\"[2, 1]\"\n2,0,y,\"[5, 4]\"\n2,1,x,\"[7, 6]\"\n");
  const Manifest manifest = run(ImportFormat::kCsv).manifest;
  EXPECT_THAT(manifest.geometry.moe_layers, ElementsAre(1, 2));
  EXPECT_FALSE(manifest.gate_weights);
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 3);
  EXPECT_THAT(texts[0].experts, ElementsAre(1, 2, 2, 1, 4, 5, 5, 4));
  EXPECT_THAT(texts[0].token_ids, ElementsAre(hashed_token_id("x"), hashed_token_id("y")));
  EXPECT_THAT(texts[1].experts, ElementsAre(6, 7, 7, 6));
  EXPECT_THAT(texts[1].token_ids, ElementsAre(hashed_token_id("x")));
  EXPECT_THAT(texts[2].experts, ElementsAre(3, 1, 0, 2));
  EXPECT_THAT(texts[2].token_ids, ElementsAre(hashed_token_id(",")));
}

TEST_F(ImportTest, DropsCsvTextsWithMissingRows) {
  put("a.csv", std::string(kHeader) + "1,0,x,[1]\n1,0,y,[2]\n2,0,y,[1]\n1,1,x,[1]\n2,1,x,[1]\n");
  EXPECT_THAT(problem(ImportFormat::kCsv),
              AllOf(HasSubstr("row 4"), HasSubstr("not the one that other layers have"),
                    HasSubstr("--allow-missing")));
  options_.allow_missing = true;
  const ImportSummary summary = run(ImportFormat::kCsv);
  EXPECT_EQ(summary.dropped_texts, 1);
  EXPECT_EQ(summary.cut_tokens, 2);
  ASSERT_EQ(traces().size(), 1);
  EXPECT_EQ(traces()[0].sample, 1);
}

TEST_F(ImportTest, RefusesBrokenCsv) {
  const auto with = [&](const std::string& text) {
    put("a.csv", text);
    return problem(ImportFormat::kCsv);
  };
  EXPECT_THAT(with(""), HasSubstr("the file is empty"));
  EXPECT_THAT(with("Layer ID,Token\n1,x\n"), HasSubstr("no 'Activated Expert IDs'"));
  EXPECT_THAT(with(kHeader), HasSubstr("no routing rows"));
  const std::string header = kHeader;
  EXPECT_THAT(with(header + "1,0,x\n"), AllOf(HasSubstr("row 2"), HasSubstr("3 cells")));
  EXPECT_THAT(with(header + "1,0,x,\"[1, \"\n"), HasSubstr("expert ids as"));
  EXPECT_THAT(with(header + "1,0,x,[1;2]\n"), HasSubstr("expert ids as"));
  EXPECT_THAT(with(header + "1,0,x,[-1]\n"), HasSubstr("expert ids as"));
  EXPECT_THAT(with(header + "1,0,x,[99999]\n"), HasSubstr("expert ids as"));
  EXPECT_THAT(with(header + "one,0,x,[1]\n"), HasSubstr("expected a layer"));
  EXPECT_THAT(with(header + "1,0,x,\"[1\n"), HasSubstr("row 2"));
}

}  // namespace
}  // namespace foregate::trace
