// What vLLM and SGLang return with a request, in the forms of their versions.

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "import_fixture.h"
#include "npy_fixture.h"
#include "support/recorded_run.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t b = 0; b < 3; ++b) {
      group = group << 8 | (b < count ? static_cast<uint8_t>(bytes[i + b]) : 0);
    }
    for (size_t d = 0; d < 4; ++d) {
      text += d <= count ? kDigits[group >> (18 - 6 * d) & 63] : '=';
    }
  }
  return text;
}

template <typename T>
std::string npy64(const std::string& descr, const std::vector<int64_t>& shape,
                  const std::vector<T>& values) {
  return base64(npy_bytes(descr, shape, values));
}

/// Integers as SGLang sends them: no header, no shape.
template <typename T>
std::string bare64(const std::vector<T>& values) {
  return base64({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

class EngineImportTest : public ImportTest {
 protected:
  ImportSummary import(const std::string& lines) {
    put("r.jsonl", lines);
    return run(ImportFormat::kVllm, "in", recorded_.context());
  }
  std::string refused(const std::string& lines) {
    put("r.jsonl", lines);
    return problem(ImportFormat::kVllm);
  }
  std::vector<std::string> messages() const { return recorded_.messages(); }

  testing::RecordedRun recorded_;
};

// --- forms of the array ------------------------------------------------------------------------

TEST_F(EngineImportTest, ReadsBase64OfEveryDtype) {
  const std::string arrays[] = {
      npy64("|u1", {2, 2, 2}, std::vector<uint8_t>{3, 1, 0, 2, 5, 4, 7, 6}),
      npy64("|i1", {2, 2, 2}, std::vector<int8_t>{3, 1, 0, 2, 5, 4, 7, 6}),
      npy64("<u2", {2, 2, 2}, std::vector<uint16_t>{3, 1, 0, 2, 5, 4, 7, 6}),
      npy64("<i2", {2, 2, 2}, std::vector<int16_t>{3, 1, 0, 2, 5, 4, 7, 6}),
      npy64("<i4", {2, 2, 2}, std::vector<int32_t>{3, 1, 0, 2, 5, 4, 7, 6}),
      npy64("<i8", {2, 2, 2}, std::vector<int64_t>{3, 1, 0, 2, 5, 4, 7, 6})};
  for (const std::string& array : arrays) {
    fs::remove_all(output());
    import(R"({"routed_experts": ")" + array + R"(", "token_ids": [70, 80]})");
    ASSERT_EQ(traces().size(), 1);
    EXPECT_THAT(traces()[0].experts, ElementsAre(3, 1, 0, 2, 5, 4, 7, 6));
    EXPECT_THAT(traces()[0].token_ids, ElementsAre(70, 80));
  }
}

TEST_F(EngineImportTest, ReadsAnArrayWithItsShapeBeside) {
  const std::string data = bare64(std::vector<int16_t>{3, 1, 0, 2, 5, 4, 7, 6});
  import(fmt::format(R"({{"routed_experts": {{"data": "{}", "shape": [2, 2, 2], "dtype": "int16", )"
                     R"("encoding": "base64"}}, "token_ids": [70, 80]}})",
                     data));
  EXPECT_THAT(traces().at(0).experts, ElementsAre(3, 1, 0, 2, 5, 4, 7, 6));
}

TEST_F(EngineImportTest, RefusesArraysThatCannotBeMeant) {
  const auto with = [&](const std::string& value) {
    return refused(R"({"routed_experts": )" + value + R"(, "token_ids": [70, 80]})");
  };
  EXPECT_THAT(with("\"a.npy\""), HasSubstr("--format npy"));
  EXPECT_THAT(with("\"no base64!\""), HasSubstr("expected lists [token][layer][k], base64 of"));
  const std::string good = npy64("|u1", {2, 1, 2}, std::vector<uint8_t>{3, 1, 0, 2});
  EXPECT_THAT(with("\"" + good.substr(0, good.size() - 4) + "\""), HasSubstr("truncated"));
  EXPECT_THAT(with("\"" + good.substr(0, good.size() - 8) + "\""), HasSubstr("ends inside"));
  EXPECT_THAT(with("\"" + good.substr(0, good.size() - 3) + "\""), HasSubstr("not whole base64"));
  EXPECT_THAT(with("\"" + npy64("<f4", {2, 1, 2}, std::vector<float>{3, 1, 0, 2}) + "\""),
              HasSubstr("expected integers [tokens, layers, k]"));
  EXPECT_THAT(with("\"" + npy64("|u1", {2, 2}, std::vector<uint8_t>{3, 1, 0, 2}) + "\""),
              HasSubstr("expected integers [tokens, layers, k]"));
  EXPECT_THAT(with("\"" + npy64("|u1", {2, 1, 2}, std::vector<uint8_t>{3, 1, 2, 2}) + "\""),
              HasSubstr("expert 2 twice at [1, 0, 1]"));
  EXPECT_THAT(with("\"" + npy64("|i1", {2, 1, 2}, std::vector<int8_t>{3, -1, 2, 1}) + "\""),
              HasSubstr("expert id -1 at [0, 0, 1]"));
  EXPECT_THAT(with(R"({"data": "AAAA", "shape": [1, 1, 3], "encoding": "base85"})"),
              HasSubstr("base64"));
  EXPECT_THAT(with(R"({"data": "AAAAAAAA", "shape": [9, 1, 2], "dtype": "uint8"})"),
              HasSubstr("of the 6 integers"));
  EXPECT_THAT(with(R"({"data": "AAAA", "shape": [1, 1, 3], "dtype": "float32"})"),
              HasSubstr("expected integers"));
  EXPECT_THAT(with("3"), HasSubstr("lists [token][layer][k] or base64"));
}

// --- prompt and generation ---------------------------------------------------------------------

TEST_F(EngineImportTest, JoinsThePromptsRows) {
  import(
      R"({"prompt_routed_experts": [[[1, 2]], [[3, 4]]], "routed_experts": [[[5, 6]], [[7, 0]]], )"
      R"("prompt_token_ids": [10, 11], "token_ids": [20, 21]})");
  ASSERT_EQ(traces().size(), 1);
  EXPECT_THAT(traces()[0].experts, ElementsAre(1, 2, 3, 4, 5, 6, 7, 0));
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(10, 11, 20, 21));
  EXPECT_EQ(traces()[0].prompt_tokens, 2);
}

TEST_F(EngineImportTest, JoinsThemInAWholeResponseOfSeveralChoices) {
  const std::string prompt = npy64("<i2", {2, 1, 2}, std::vector<int16_t>{1, 2, 3, 4});
  const std::string second = npy64("<i2", {1, 1, 2}, std::vector<int16_t>{0, 5});
  const ImportSummary summary = import(
      R"({"id": "cmpl-1", "model": "m", "prompt_token_ids": [10, 11], "prompt_routed_experts": ")" +
      prompt + R"(", "choices": [{"index": 0, "token_ids": [20, 21], "routed_experts": )" +
      R"([[[5, 6]], [[7, 0]]]}, {"index": 1, "token_ids": [30, 31], "routed_experts": ")" + second +
      R"("}], "usage": {"prompt_tokens": 2, "completion_tokens": 4}})");
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 2);
  EXPECT_THAT(texts[0].token_ids, ElementsAre(10, 11, 20, 21));
  EXPECT_THAT(texts[1].experts, ElementsAre(1, 2, 3, 4, 0, 5));
  EXPECT_THAT(texts[1].token_ids, ElementsAre(10, 11, 30)) << "31 was never run";
  EXPECT_EQ(texts[1].prompt_tokens, 2);
  EXPECT_EQ(summary.left_out.unrun, 1);
}

TEST_F(EngineImportTest, RowsOfTheWholeRequest) {
  // vLLM from 0.22 on: rows of the prompt and all generated tokens but the last.
  const std::string array = npy64("|u1", {4, 1, 2}, std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 0});
  const ImportSummary summary =
      import(R"({"prompt_token_ids": [10, 11, 12], "choices": [{"token_ids": [20, 21], )"
             R"("routed_experts": ")" +
             array + R"("}]})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(10, 11, 12, 20));
  EXPECT_THAT(traces()[0].experts, ElementsAre(1, 2, 3, 4, 5, 6, 7, 0));
  EXPECT_EQ(traces()[0].prompt_tokens, 3);
  EXPECT_EQ(summary.left_out.unrun, 1);
  EXPECT_THAT(messages(),
              Contains(HasSubstr("the last token of 1 text was sampled but never run")));
}

TEST_F(EngineImportTest, RowsOfTheGenerationAlone) {
  const ImportSummary summary =
      import(R"({"prompt_token_ids": [10, 11, 12, 13], "choices": [{"token_ids": [20, 21], )"
             R"("routed_experts": [[[1, 2]], [[3, 4]]]}]})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(20, 21));
  EXPECT_EQ(traces()[0].prompt_tokens, 0);
  EXPECT_EQ(summary.left_out.unrouted_prompts, 4);
  EXPECT_THAT(messages(), Contains(HasSubstr("4 tokens of prompts have no rows")));
}

TEST_F(EngineImportTest, RowsFromSomeTokenOn) {
  import(R"({"prompt_token_ids": [10, 11, 12], "routed_experts_prompt_start": 2, "choices": )"
         R"([{"token_ids": [20, 21], "routed_experts": [[[1, 2]], [[3, 4]]]}]})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(12, 20));
  EXPECT_EQ(traces()[0].prompt_tokens, 1);
}

TEST_F(EngineImportTest, RowsOfThePromptAlone) {
  import(R"({"prompt_token_ids": [10, 11], "routed_experts": [[[1, 2]], [[3, 4]]]})"
         "\n"
         R"({"prompt_token_ids": [10, 11], "prompt_routed_experts": [[[1, 2]], [[3, 4]]], )"
         R"("routed_experts": null, "token_ids": []})");
  ASSERT_EQ(traces().size(), 2);
  for (const Trace& text : traces()) {
    EXPECT_THAT(text.token_ids, ElementsAre(10, 11));
    EXPECT_THAT(text.experts, ElementsAre(1, 2, 3, 4));
    EXPECT_EQ(text.prompt_tokens, 2);
  }
}

TEST_F(EngineImportTest, AcceptsOneRowLessAndNoOther) {
  const auto line = [](int rows) {
    std::string experts;
    for (int i = 0; i < rows; ++i) experts += (i > 0 ? ", [[1, 2]]" : "[[1, 2]]");
    return R"({"routed_experts": [)" + experts + R"(], "token_ids": [1, 2, 3, 4]})";
  };
  EXPECT_EQ(import(line(3)).left_out.unrun, 1);
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(1, 2, 3));
  fs::remove_all(output());
  EXPECT_EQ(import(line(4)).left_out.unrun, 0);
  fs::remove_all(output());
  EXPECT_THAT(refused(line(2)), HasSubstr("4 tokens, but routing of 2"));
  EXPECT_THAT(refused(line(5)), HasSubstr("4 tokens, but routing of 5"));
}

TEST_F(EngineImportTest, RefusesPromptsOfAnotherLength) {
  EXPECT_THAT(refused(R"({"prompt_routed_experts": [[[1, 2]]], "routed_experts": [[[5, 6]]], )"
                      R"("prompt_token_ids": [10, 11], "token_ids": [20]})"),
              HasSubstr("2 tokens of the prompt, but 'prompt_routed_experts' of 1"));
  EXPECT_THAT(refused(R"({"prompt_routed_experts": [[[1, 2], [3, 4]]], "routed_experts": )"
                      R"([[[5, 6]]], "prompt_token_ids": [10], "token_ids": [20]})"),
              HasSubstr("'prompt_routed_experts' has 2 layers"));
}

TEST_F(EngineImportTest, MoreRowsThanAResponseNamesTokens) {
  const ImportSummary summary = import(
      R"({"prompt_token_ids": [1], "choices": [{"token_ids": [4], "routed_experts": )"
      R"([[[1, 2]], [[3, 4]], [[5, 6]]]}]})"
      "\n"
      R"({"prompt_token_ids": [1], "choices": [{"token_ids": [4], "routed_experts": [[[1, 2]]]}]})");
  EXPECT_EQ(summary.manifest.token_ids, TokenIds::kUnique);
  EXPECT_EQ(summary.left_out.unnamed, 1);
  EXPECT_EQ(traces().at(0).num_tokens(), 3);
  EXPECT_EQ(summary.left_out.misfits, 1);
  EXPECT_THAT(messages(), Contains(HasSubstr("1 response has more rows of routing than it names")));
  EXPECT_THAT(messages(), Contains(HasSubstr("1 text does not say which tokens were routed")));
}

TEST_F(EngineImportTest, ReadsPythonsOutputs) {
  // RequestOutput of vLLM, as a dictionary.
  import(
      R"({"request_id": "0", "prompt": "a", "prompt_token_ids": [10, 11], "outputs": )"
      R"([{"index": 0, "text": "b", "token_ids": [20, 21], "routed_experts": [[[1, 2]], [[3, 4]], )"
      R"([[5, 6]]], "finish_reason": "length"}], "finished": true})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(10, 11, 20));
}

TEST_F(EngineImportTest, ReadsWholeExchanges) {
  import(R"({"request": {"input_ids": [10, 11]}, "response": {"choices": [{"meta_info": )"
         R"({"output_token_logprobs": [[-0.1, 20, null], [-0.2, 21, null]]}, "routed_experts": )"
         R"([[[1, 2]], [[3, 4]], [[5, 6]]]}]}})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(10, 11, 20));
  EXPECT_EQ(traces()[0].prompt_tokens, 2);
}

TEST_F(EngineImportTest, CountsRoutingThatItDoesNotRead) {
  const ImportSummary summary = import(
      R"({"routed_experts": [[[1, 2]]], "token_ids": [1], "draft_routed_experts": [[[1, 2]]]})");
  EXPECT_EQ(summary.left_out.unread.at("draft_routed_experts"), 1);
  EXPECT_THAT(messages(), Contains(HasSubstr("'draft_routed_experts' of 1 text holds routing")));
}

// --- SGLang ------------------------------------------------------------------------------------

std::string sglang(const std::string& experts, const std::string& more = "") {
  return R"({"text": "x", "output_ids": [20, 21], "input_ids": [10, 11], "meta_info": {"id": "1", )"
         R"("prompt_tokens": 2, "completion_tokens": 2, "routed_experts": ")" +
         experts + "\"" + more + "}}\n";
}

TEST_F(EngineImportTest, ReadsSglangsArrays) {
  options_.top_k = 2;
  const std::vector<int32_t> ids = {0, 0, 3, 1, 0, 0, 2, 5, 0, 0, 1, 4};  // 3 tokens, 2 layers
  const ImportSummary summary = import(sglang(bare64(ids)));
  EXPECT_THAT(traces().at(0).experts, ElementsAre(3, 1, 2, 5, 1, 4));
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(10, 11, 20));
  EXPECT_EQ(traces()[0].prompt_tokens, 2);
  EXPECT_THAT(summary.manifest.geometry.moe_layers, ElementsAre(1));
  EXPECT_EQ(summary.manifest.geometry.num_decoder_layers, 2);
  EXPECT_THAT(summary.left_out.dense_layers, ElementsAre(0));
  EXPECT_THAT(messages(), Contains(HasSubstr("layer 0 holds no routing")));
}

TEST_F(EngineImportTest, ReadsSglangsOtherPlaces) {
  options_.top_k = 2;
  const std::string ids = bare64(std::vector<uint8_t>{3, 1, 2, 5, 1, 4});
  // A smaller dtype; a chat completion; rows from the second token on; the prompt not named.
  import(sglang(ids, R"(, "routed_experts_dtype": "uint8")") +
         R"({"choices": [{"index": 0, "token_ids": [20, 21], "sgl_ext": {"routed_experts": ")" +
         bare64(std::vector<int32_t>{3, 1, 2, 5, 1, 4}) +
         R"("}}], "prompt_token_ids": [10, 11], "usage": {"prompt_tokens": 2}})"
         "\n" +
         sglang(bare64(std::vector<int32_t>{2, 5, 1, 4}), R"(, "routed_experts_start_len": 1)"));
  const std::vector<Trace> texts = traces();
  ASSERT_EQ(texts.size(), 3);
  EXPECT_EQ(texts[0].experts, texts[1].experts);
  EXPECT_EQ(texts[0].token_ids, texts[1].token_ids);
  EXPECT_THAT(texts[2].experts, ElementsAre(2, 5, 1, 4));
  EXPECT_THAT(texts[2].token_ids, ElementsAre(11, 20));
}

TEST_F(EngineImportTest, SglangWithoutThePromptsIds) {
  options_.top_k = 2;
  const ImportSummary summary = import(
      R"({"output_ids": [20, 21], "meta_info": {"prompt_tokens": 2, "completion_tokens": 2, )"
      R"("routed_experts": ")" +
      bare64(std::vector<int32_t>{3, 1, 2, 5, 1, 4}) + "\"}}");
  EXPECT_EQ(traces().at(0).num_tokens(), 3);
  EXPECT_EQ(traces()[0].prompt_tokens, 2);
  EXPECT_EQ(summary.manifest.token_ids, TokenIds::kUnique);
  EXPECT_EQ(summary.left_out.unnamed, 1);
}

TEST_F(EngineImportTest, FindsOutHowManyExperts) {
  // 6 layers of 4 experts out of 16, 40 tokens; a dense layer in front.
  std::vector<int32_t> ids;
  uint32_t state = 1;
  for (int token = 0; token < 39; ++token) {
    ids.insert(ids.end(), 4, 0);
    for (int layer = 0; layer < 6; ++layer) {
      std::vector<int32_t> decision;
      while (decision.size() < 4) {
        state = state * 1664525 + 1013904223;
        const auto id = static_cast<int32_t>(state >> 16) % 16;
        if (std::find(decision.begin(), decision.end(), id) == decision.end())
          decision.push_back(id);
      }
      ids.insert(ids.end(), decision.begin(), decision.end());
    }
  }
  const std::string line = R"({"meta_info": {"prompt_tokens": 30, "completion_tokens": 10, )"
                           R"("routed_experts": ")" +
                           bare64(ids) + "\"}}";
  const Manifest manifest = import(line).manifest;
  EXPECT_EQ(manifest.geometry.top_k, 4);
  EXPECT_THAT(manifest.geometry.moe_layers, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(messages(), Contains(HasSubstr("7 layers with 4 experts a token")));
  // Said otherwise, it is believed only if it explains the array.
  fs::remove_all(output());
  options_.top_k = 3;
  EXPECT_THAT(refused(line), HasSubstr("3 experts a decision and"));
}

TEST_F(EngineImportTest, TooLittleToFindOut) {
  const std::string message = refused(sglang(bare64(std::vector<int32_t>{3, 1, 2, 5, 1, 4})));
  EXPECT_THAT(message, AllOf(HasSubstr("--top-k"), HasSubstr("2 integers a token")));
  EXPECT_THAT(refused(R"({"routed_experts": ")" + bare64(std::vector<int32_t>{3, 1}) + "\"}"),
              HasSubstr("does not say how many tokens"));
  options_.top_k = 2;
  EXPECT_THAT(refused(sglang(bare64(std::vector<int32_t>{3, 1, 2, 5, 1, 4, 7}))),
              HasSubstr("7 integers without a shape"));
}

TEST_F(EngineImportTest, AServerThatIgnoresTheStart) {
  options_.top_k = 2;
  import(
      sglang(bare64(std::vector<int32_t>{3, 1, 2, 5, 1, 4}), R"(, "routed_experts_start_len": 1)") +
      R"({"prompt_token_ids": [10, 11], "choices": [{"token_ids": [20, 21], "routed_experts": )"
      R"({"data": ")" +
      bare64(std::vector<int16_t>{2, 5, 1, 4}) + R"(", "shape": [2, 1, 2], "start": 1}}]})");
  ASSERT_EQ(traces().size(), 2);
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(10, 11, 20));
  EXPECT_THAT(traces()[0].experts, ElementsAre(3, 1, 2, 5, 1, 4));
  EXPECT_THAT(traces()[1].token_ids, ElementsAre(11, 20)) << "and one that does not";
  EXPECT_THAT(traces()[1].experts, ElementsAre(2, 5, 1, 4));
}

TEST_F(EngineImportTest, RoutingBesideTheOnlyChoice) {
  import(R"({"prompt_token_ids": [10, 11], "choices": [{"token_ids": [20, 21]}], "nvext": )"
         R"({"routed_experts": {"data": ")" +
         bare64(std::vector<int16_t>{2, 5, 1, 4}) +
         R"(", "shape": [2, 1, 2], "dtype": "int16", )"
         R"("start": 1}}})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(11, 20));
  EXPECT_THAT(traces()[0].experts, ElementsAre(2, 5, 1, 4));
  EXPECT_THAT(messages(), Each(Not(HasSubstr("not read"))));
}

TEST_F(EngineImportTest, PrefillAlone) {
  options_.top_k = 2;
  // max_new_tokens 0: SGLang drops the row of the last prompt token too.
  import(R"({"output_ids": [], "input_ids": [10, 11, 12], "meta_info": {"prompt_tokens": 3, )"
         R"("completion_tokens": 0, "routed_experts": ")" +
         bare64(std::vector<int32_t>{3, 1, 2, 5}) + "\"}}");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(10, 11));
  EXPECT_EQ(traces()[0].prompt_tokens, 2);
}

TEST_F(EngineImportTest, AStreamOfEvents) {
  const ImportSummary summary = import(
      ": ping\n"
      R"(data: {"id": "1", "object": "text_completion", "choices": [{"index": 0, "token_ids": [20], )"
      R"("routed_experts": null}]})"
      "\n\n"
      R"(data: {"id": "1", "object": "text_completion", "choices": [{"index": 0, "token_ids": [21], )"
      R"("routed_experts": [[[1, 2]], [[3, 4]], [[5, 6]]], "finish_reason": "stop"}]})"
      "\n\ndata: [DONE]\n");
  EXPECT_EQ(traces().at(0).num_tokens(), 3);
  EXPECT_EQ(summary.left_out.without_routing, 1);
  EXPECT_EQ(summary.left_out.unnamed, 1);
}

// --- aborted and broken ------------------------------------------------------------------------

TEST_F(EngineImportTest, CountsAbortedRequests) {
  const ImportSummary summary =
      import(R"({"routed_experts": null, "token_ids": [1, 2]})"
             "\n"
             R"({"routed_experts": [[[1, 2]]], "token_ids": [1]})"
             "\n"
             R"({"prompt_token_ids": [1], "choices": [{"token_ids": [], "routed_experts": null, )"
             R"("finish_reason": "abort"}, {"token_ids": [5], "routed_experts": [[[1, 2]]]}]})"
             "\n"
             R"({"error": {"message": "context too long"}})"
             "\n"
             R"({"routed_experts": [], "token_ids": []})");
  EXPECT_EQ(traces().size(), 2);
  EXPECT_EQ(summary.left_out.without_routing, 4);
  EXPECT_THAT(messages(), Contains(HasSubstr("4 records without routing")));
  fs::remove_all(output());
  EXPECT_THAT(refused(R"({"routed_experts": null})"),
              AllOf(HasSubstr("no line holds the routing of a text"),
                    HasSubstr("--enable-return-routed-experts")));
}

TEST_F(EngineImportTest, LeavesOutBrokenLinesIfAllowed) {
  const std::string good = R"({"routed_experts": [[[1, 2]], [[3, 4]]], "token_ids": [1, 2]})"
                           "\n";
  const std::string cut = R"({"routed_experts": [[[11, 13], [8, 14], )";
  EXPECT_THAT(refused(good + cut),
              AllOf(HasSubstr("line 2"), HasSubstr("whoever wrote it was stopped"),
                    HasSubstr("--allow-missing")));
  options_.allow_missing = true;
  const ImportSummary summary = import(good + cut);
  EXPECT_EQ(summary.left_out.broken_lines, 1);
  EXPECT_EQ(traces().size(), 1);
  EXPECT_THAT(messages(), Contains(AllOf(HasSubstr("1 record cannot be read and was left out"),
                                         HasSubstr("line 2"))));
  fs::remove_all(output());
  // In the middle, with tokens that do not fit, and with experts that cannot be.
  const ImportSummary more =
      import(cut + "\n" + good + R"({"routed_experts": [[[1, 2]]], "token_ids": [1, 2, 3, 4]})" +
             "\n" + R"({"routed_experts": [[[1, 1]]], "token_ids": [1]})" + "\n" + good);
  EXPECT_EQ(more.left_out.broken_lines, 1);
  EXPECT_EQ(more.left_out.records, 2);
  EXPECT_EQ(traces().size(), 2);
  fs::remove_all(output());
  EXPECT_THAT(refused(cut), HasSubstr("line 1"));
}

TEST_F(EngineImportTest, ReadsAFileThatIsOneDocument) {
  import("{\n  \"routed_experts\": [[[1, 2]],\n [[3, 4]]],\n  \"token_ids\": [1, 2]\n}\n");
  EXPECT_EQ(traces().size(), 1);
  fs::remove_all(output());
  import(R"([{"routed_experts": [[[1, 2]]], "token_ids": [1]}, )"
         "\n"
         R"({"routed_experts": [[[3, 4]]], "token_ids": [2]}])");
  ASSERT_EQ(traces().size(), 2);
  EXPECT_THAT(traces()[1].token_ids, ElementsAre(2));
}

TEST_F(EngineImportTest, ReadsFileAfterFile) {
  put("b.jsonl", R"({"routed_experts": [[[3, 4]]], "token_ids": [2]})");
  put("a.json", "{\n\"routed_experts\": [[[1, 2]]],\n\"token_ids\": [1]\n}");
  put("empty.jsonl", "");
  put("notes.txt", "nothing of ours");
  run(ImportFormat::kVllm);
  ASSERT_EQ(traces().size(), 2);
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(1));
  EXPECT_THAT(traces()[1].token_ids, ElementsAre(2));
  fs::remove_all(output());
  put("b.jsonl", "{\"routed_experts\": [[[3, 4]]], \"token_ids\": [2, 3, 4]}");
  EXPECT_THAT(problem(ImportFormat::kVllm), HasSubstr("b.jsonl, line 1: 3 tokens"));
}

TEST_F(EngineImportTest, ReadsFilesInTheOrderGiven) {
  put("b.jsonl", R"({"routed_experts": [[[3, 4]]], "token_ids": [2]})");
  put("a.jsonl", R"({"routed_experts": [[[1, 2]]], "token_ids": [1]})");
  options_.more_paths = {folder_.path() / "in" / "a.jsonl"};
  run(ImportFormat::kVllm, "in/b.jsonl");
  ASSERT_EQ(traces().size(), 2);
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(2));
  EXPECT_THAT(traces()[1].token_ids, ElementsAre(1));
  fs::remove_all(output());
  EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("one by one"));
}

TEST_F(EngineImportTest, NamesTextAndLayerOfNan) {
  EXPECT_THAT(refused(R"({"routed_experts": [[[1, 2], [3, 4]]], "token_ids": [1], )"
                      R"("gate_weights": [[[0.5, 0.5], [0.7, NaN]]]})"),
              AllOf(HasSubstr("line 1"), HasSubstr("NaN"), HasSubstr("token 0 at layer 1")));
  // Elsewhere it does not matter.
  import(
      R"({"routed_experts": [[[1, 2]]], "token_ids": [1], "logprobs": [NaN, -Infinity], "s": "NaN"})");
  EXPECT_EQ(traces().size(), 1);
}

// --- layers and tokens without routing ---------------------------------------------------------

TEST_F(EngineImportTest, LeavesDenseLayersOut) {
  const char* places[] = {"[0, 0]", "[-1, -1]", "[255, 255]", "[65535, 65535]"};
  for (const char* place : places) {
    fs::remove_all(output());
    const Manifest manifest =
        import(fmt::format(R"({{"routed_experts": [[{0}, [1, 2], {0}, [3, 4]], [{0}, [0, 5], {0}, )"
                           R"([6, 7]]], "token_ids": [1, 2]}})",
                           place))
            .manifest;
    EXPECT_THAT(manifest.geometry.moe_layers, ElementsAre(1, 3));
    EXPECT_EQ(manifest.geometry.num_experts, 8);
    EXPECT_THAT(traces().at(0).experts, ElementsAre(1, 2, 3, 4, 0, 5, 6, 7));
  }
}

TEST_F(EngineImportTest, DenseLayersOfOneExpertAToken) {
  std::string rows;
  for (int i = 0; i < 16; ++i) rows += fmt::format("{}[[0], [{}]]", i > 0 ? ", " : "", i % 3);
  import(R"({"routed_experts": [)" + rows + "]}");
  EXPECT_EQ(traces().at(0).experts.size(), 16);
  fs::remove_all(output());
  // In two tokens expert 0 may be meant.
  import(R"({"routed_experts": [[[0], [1]], [[0], [2]]]})");
  EXPECT_EQ(traces().at(0).experts.size(), 4);
}

TEST_F(EngineImportTest, RefusesZerosThroughout) {
  EXPECT_THAT(refused(R"({"routed_experts": [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]})"),
              HasSubstr("every decision is zeros or -1"));
}

TEST_F(EngineImportTest, TokensWithoutRouting) {
  // Out of a prefix cache (-1) and a padded last row (zeros).
  const ImportSummary summary =
      import(R"({"routed_experts": [[[-1, -1], [-1, -1]], [[1, 2], [3, 4]], [[5, 6], [7, 1]], )"
             R"([[0, 0], [0, 0]]], "token_ids": [1, 2, 3, 4], "prompt_tokens": 2})");
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(2, 3));
  EXPECT_THAT(traces()[0].experts, ElementsAre(1, 2, 3, 4, 5, 6, 7, 1));
  EXPECT_EQ(traces()[0].prompt_tokens, 1);
  EXPECT_EQ(summary.left_out.unrouted, 2);
  EXPECT_THAT(messages(), Contains(HasSubstr("2 tokens at the beginning or end")));
}

TEST_F(EngineImportTest, AGapIsRefusedOrCut) {
  const std::string line =
      R"({"routed_experts": [[[1, 2], [3, 4]], [[5, 6], [-1, -1]], [[5, 6], [7, 1]]], )"
      R"("token_ids": [1, 2, 3]})";
  EXPECT_THAT(refused(line),
              AllOf(HasSubstr("no decision of token 1 at layer 1"), HasSubstr("--allow-missing")));
  options_.allow_missing = true;
  const ImportSummary summary = import(line);
  EXPECT_EQ(summary.cut_tokens, 2);
  EXPECT_THAT(traces().at(0).token_ids, ElementsAre(1));
}

TEST_F(EngineImportTest, DenseLayersOfArraysInFiles) {
  put("a.npy", npy_bytes("<i2", {2, 2, 2}, std::vector<int16_t>{0, 0, 1, 2, 0, 0, 3, 4}));
  put("requests.jsonl", R"({"routed_experts": "a.npy", "token_ids": [7, 8, 9]})"
                        "\n"
                        R"({"routed_experts": null, "token_ids": [7]})");
  put("b.npy", "not listed");
  const ImportSummary summary = run(ImportFormat::kNpy);
  EXPECT_THAT(summary.manifest.geometry.moe_layers, ElementsAre(1));
  EXPECT_THAT(traces().at(0).experts, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(7, 8)) << "9 was never run";
  EXPECT_EQ(summary.left_out.unrun, 1);
  EXPECT_EQ(summary.left_out.without_routing, 1);
  EXPECT_EQ(summary.left_out.unlisted_files, 1);
}

TEST_F(EngineImportTest, NamesStayInsideTheFolder) {
  put("a.npy", npy_bytes("<i2", {1, 1, 2}, std::vector<int16_t>{1, 2}));
  overwrite(folder_.path() / "outside.npy",
            npy_bytes("<i2", {1, 1, 2}, std::vector<int16_t>{1, 2}));
  for (const std::string& name :
       {std::string("../outside.npy"), (folder_.path() / "outside.npy").string(),
        std::string("x/../../outside.npy"), std::string(""), std::string("..")}) {
    put("requests.jsonl", fmt::format(R"({{"routed_experts": "{}"}})", name));
    EXPECT_THAT(problem(ImportFormat::kNpy), HasSubstr("an npy file inside the folder")) << name;
  }
}

TEST_F(EngineImportTest, CountsRowsOfNoText) {
  put("s.experts.npy", npy_bytes("|u1", {3, 1, 2}, std::vector<uint8_t>{3, 1, 0, 2, 5, 4}));
  put("s.meta.jsonl", R"({"first_row": 0, "n_tokens": 2})");
  EXPECT_EQ(run(ImportFormat::kNpy).left_out.uncovered, 1);
}

// A generation that was cut in the middle of an emoji:
// https://github.com/agent0ai/agent-zero/pull/1774
TEST_F(EngineImportTest, TextsThatAreNoUnicode) {
  import(R"({"text": "cut \ud83c", "token_ids": [7, 8], "routed_experts": [[[1, 2]], [[0, 3]]]})");
  ASSERT_EQ(traces().size(), 1);
  EXPECT_THAT(traces()[0].token_ids, ElementsAre(7, 8));
}

}  // namespace
}  // namespace foregate::trace
