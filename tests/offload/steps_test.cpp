#include "offload/replay/steps.h"

#include <gtest/gtest.h>

#include "memory_texts.h"
#include "support/test_files.h"

namespace foregate::offload {
namespace {

trace::Trace text_of(int tokens, int prompt) {
  trace::Trace text;
  text.token_ids.resize(static_cast<size_t>(tokens));
  text.prompt_tokens = prompt;
  return text;
}

/// "text:first+tokens", "p" behind a prompt's, "." behind a text's last.
std::string steps_of(std::vector<trace::Trace> texts, const ScheduleOptions& options) {
  testing::MemoryTexts source(std::move(texts));
  StepStream stream(source, options);
  std::string all;
  Step step;
  for (int pass = 0; pass < 2; ++pass) {  // A second pass says the same.
    std::string said;
    int64_t number = 0;
    while (stream.next(step)) {
      EXPECT_EQ(step.number, number++);
      EXPECT_EQ(step.begins_text, step.first_token == 0);
      said += std::to_string(step.text_number) + ":" + std::to_string(step.first_token) + "+" +
              std::to_string(step.num_tokens) + (step.prompt ? "p" : "") +
              (step.ends_text ? ". " : " ");
    }
    if (pass == 1) {
      EXPECT_EQ(said, all);
    }
    all = said;
    stream.rewind();
  }
  return all;
}

TEST(Steps, TokenByToken) {
  EXPECT_EQ(steps_of({text_of(2, 2), text_of(0, 0), text_of(1, 1)}, {}), "0:0+1 0:1+1. 2:0+1. ");
  EXPECT_EQ(steps_of({}, {}), "");
}

TEST(Steps, PromptsInBatches) {
  EXPECT_EQ(steps_of({text_of(7, 5)}, {1, false, 2}), "0:0+2p 0:2+2p 0:4+1p 0:5+1 0:6+1. ");
  EXPECT_EQ(steps_of({text_of(2, 2)}, {1, false, 512}), "0:0+2p. ");
}

TEST(Steps, SequencesTakeTurns) {
  EXPECT_EQ(steps_of({text_of(1, 0), text_of(3, 0), text_of(2, 0)}, {2, false, 0}),
            "0:0+1. 1:0+1 2:0+1 1:1+1 2:1+1. 1:2+1. ");
}

TEST(Steps, ColdTextsCannotTakeTurns) {
  EXPECT_NE(testing::error_of([] { check_schedule({2, true, 0}); }), "no error");
  EXPECT_EQ(testing::error_of([] { check_schedule({1, true, 0}); }), "no error");
}

}  // namespace
}  // namespace foregate::offload
