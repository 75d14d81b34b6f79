/* Proves that the header is C99: compiled with -std=c99 -pedantic and linked into test_capi. */
#include "efiqa/efiqa.h"

int efiqa_test_from_c(void);

/* 0, or the number of the step that went wrong. Uses each function as a C program would. */
int efiqa_test_from_c(void) {
  char message[128];
  efiqa_options options;
  efiqa_runtime* runtime = NULL;
  efiqa_frame frame;
  efiqa_report report;
  efiqa_region region;
  efiqa_info info;
  efiqa_overlay overlay;
  efiqa_gate* gate = NULL;
  efiqa_gate_params params;
  efiqa_decision decision;
  uint8_t pixel[3] = {0, 0, 0};

  EFIQA_INIT(options);
  EFIQA_INIT(frame);
  EFIQA_INIT(report);
  EFIQA_INIT(region);
  EFIQA_INIT(info);
  EFIQA_INIT(overlay);
  EFIQA_INIT(params);
  EFIQA_INIT(decision);
  options.model_path = "/nowhere/model.onnx";
  if (efiqa_abi_version() != EFIQA_ABI_VERSION) return 1;
  if (efiqa_library_version()[0] == '\0') return 2;
  if (strcmp(efiqa_status_name(EFIQA_STATUS_DEADLINE), "deadline") != 0) return 3;
  if (strcmp(efiqa_verdict_name(EFIQA_VERDICT_GOOD), "good") != 0) return 4;
  if (strcmp(efiqa_reason_name(EFIQA_REASON_NO_FIELD_OF_VIEW), "no_field_of_view") != 0) return 5;
  if (strcmp(efiqa_shape_name(EFIQA_SHAPE_CIRCLE), "circle") != 0) return 6;
  if (efiqa_runtime_open(&options, &runtime, message, sizeof message) !=
      EFIQA_STATUS_FILE_UNREADABLE)
    return 7;
  if (runtime != NULL) return 8;
  if (efiqa_runtime_assess(runtime, &frame, &report, message, sizeof message) == EFIQA_STATUS_OK)
    return 9;
  if (report.verdict != EFIQA_VERDICT_UNKNOWN || report.score == report.score) return 10;
  if (efiqa_region_read(runtime, 0, &region) == EFIQA_STATUS_OK) return 11;
  if (efiqa_runtime_describe(runtime, &info) == EFIQA_STATUS_OK) return 12;
  if (efiqa_overlay_render(runtime, &frame, &overlay, pixel, sizeof pixel, 3, message,
                           sizeof message) == EFIQA_STATUS_OK)
    return 13;
  if (efiqa_runtime_close(&runtime) != EFIQA_STATUS_OK) return 14;
  if (efiqa_gate_params_init(&params) != EFIQA_STATUS_OK || params.min_stable_ms != 500) return 15;
  params.min_score = 0.7f;
  if (efiqa_gate_open(NULL, &params, &gate, message, sizeof message) != EFIQA_STATUS_OK) return 16;
  if (efiqa_gate_update(gate, runtime, &frame, 0, &report, &decision, message, sizeof message) ==
      EFIQA_STATUS_OK)
    return 17;
  if (decision.state != EFIQA_GATE_NO_EYE || decision.keep_slot != -1) return 18;
  if (efiqa_gate_reset(gate) != EFIQA_STATUS_OK) return 19;
  if (strcmp(efiqa_gate_state_name(EFIQA_GATE_READY), "ready") != 0) return 20;
  if (strcmp(efiqa_guidance_name(EFIQA_GUIDANCE_HAZE), "haze") != 0) return 21;
  if (efiqa_guidance_text(EFIQA_GUIDANCE_DONE, 0.0f)[0] == '\0') return 22;
  if (efiqa_gate_close(&gate) != EFIQA_STATUS_OK || gate != NULL) return 23;
  if (strcmp(efiqa_remedy_name(EFIQA_REMEDY_REFOCUS), "refocus") != 0) return 24;
  if (efiqa_remedy_text(EFIQA_REMEDY_REFOCUS, 0.0f)[0] == '\0') return 25;
  if (report.reason_strengths[EFIQA_REASON_FIELD_CUT - EFIQA_REASON_UNDER_EXPOSED] >= 0) return 26;
  return 0;
}
