/* efiqa for camera firmware: whether a frame of a fundus camera is good enough, where not, and why.
 *
 *   #include <efiqa/efiqa.h>
 *   #include <stdio.h>
 *
 *   int main(void) {
 *     char message[256];
 *     efiqa_runtime *runtime = NULL;
 *     if (efiqa_runtime_open(NULL, &runtime, message, sizeof message) != EFIQA_STATUS_OK) {
 *       fprintf(stderr, "%s\n", message);   // NULL options: the embedded model, all defaults
 *       return 1;
 *     }
 *     efiqa_frame frame;
 *     EFIQA_INIT(frame);                    // zeroes it and sets its struct_size
 *     frame.format = EFIQA_FORMAT_RGB8;
 *     frame.width_px = 1920;
 *     frame.height_px = 1080;
 *     frame.row_stride_bytes = 3 * 1920;
 *     frame.data = pixels;                  // yours, borrowed for the call
 *     frame.data_size_bytes = sizeof pixels;
 *     efiqa_report report;
 *     EFIQA_INIT(report);
 *     if (efiqa_runtime_assess(runtime, &frame, &report, message, sizeof message) != 0)
 *       fprintf(stderr, "%s\n", message);   // report.verdict is then EFIQA_VERDICT_UNKNOWN
 *     printf("%s, score %.2f\n", efiqa_verdict_name(report.verdict), report.score);
 *     efiqa_runtime_close(&runtime);
 *     return 0;
 *   }
 *
 * Rules for all of it
 * - Every function that can fail returns an EFIQA_STATUS_ code. No exception leaves the library; it
 *   never prints, exits or aborts, and it uses no network.
 * - Every struct begins with struct_size; EFIQA_INIT sets it. Later versions append fields; the
 *   library touches the first struct_size bytes only. Zero is the default of every field. A field
 *   that this library does not know yet is refused unless it is zero, never ignored.
 * - Codes are never renumbered. Treat one that you do not know as "unknown", never as good.
 * - `message` receives the reason of a failure as text, cut to message_size bytes with its NUL, or
 *   "" on success. It may be NULL. It names field, value, rule and fix; it is for a log, not for
 *   patients.
 * - A runtime belongs to one thread at a time. A second thread that enters meanwhile is turned away
 *   with EFIQA_STATUS_WRONG_THREAD at once. Different runtimes may run in parallel.
 * - Functions without a runtime may be called from any thread at any time and never block.
 * - Do not call pthread_cancel on a thread inside the library, and do not use a runtime in a child
 *   process after fork().
 */
#ifndef EFIQA_EFIQA_H_
#define EFIQA_EFIQA_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define EFIQA_API __attribute__((visibility("default")))
#else
#define EFIQA_API
#endif

/* Changes when a program that was built against an older header could no longer run. */
#define EFIQA_ABI_VERSION 1

/* Zeroes a struct of this header and sets its struct_size: EFIQA_INIT(options); */
#define EFIQA_INIT(object)                           \
  do {                                               \
    memset(&(object), 0, sizeof(object));            \
    (object).struct_size = (uint32_t)sizeof(object); \
  } while (0)

#ifdef __cplusplus
extern "C" {
#endif

enum {
  EFIQA_STATUS_OK = 0,
  EFIQA_STATUS_INVALID_ARGUMENT = 1,    /* an option, a buffer or a struct breaks its rule */
  EFIQA_STATUS_INVALID_FRAME = 2,       /* the frame's geometry, stride, format, size or pointer */
  EFIQA_STATUS_FILE_UNREADABLE = 3,     /* a model or contract file is missing or unreadable */
  EFIQA_STATUS_MODEL_INVALID = 4,       /* the model does not parse, or does not fit its contract */
  EFIQA_STATUS_CONTRACT_INVALID = 5,    /* garbled, incomplete, unknown, or of another model */
  EFIQA_STATUS_BACKEND_UNAVAILABLE = 6, /* this build or this machine does not have it */
  EFIQA_STATUS_ENGINE_FAILURE = 7,      /* the engine failed, or answered with NaN or infinity */
  EFIQA_STATUS_WRONG_THREAD = 8,        /* another thread is inside this runtime */
  EFIQA_STATUS_INTERNAL = 9,            /* a defect of efiqa itself; please report it */
  EFIQA_STATUS_DEADLINE = 10,           /* the frame took longer than options.deadline_ms */
  EFIQA_STATUS_SIGNATURE_INVALID = 11,  /* unsigned, altered, or signed by nobody who is trusted */
  EFIQA_STATUS_OUT_OF_MEMORY = 12
};

enum {
  EFIQA_VERDICT_UNKNOWN = 0, /* no field of view, not a fundus, or the call failed */
  EFIQA_VERDICT_REJECT = 1,
  EFIQA_VERDICT_USABLE = 2,
  EFIQA_VERDICT_GOOD = 3
};

enum {
  EFIQA_REASON_NONE = 0,
  EFIQA_REASON_NO_FIELD_OF_VIEW = 1, /* nothing in the frame looks like a retina's field of view */
  EFIQA_REASON_LOW_ANATOMY_VISIBLE = 2, /* the score is below the limit for `usable` */
  EFIQA_REASON_NOT_A_FUNDUS = 3,        /* the picture shows something else */
  /* What hides the anatomy: main_reason, with its strength at code - EFIQA_REASON_UNDER_EXPOSED of
   * reason_strengths. */
  EFIQA_REASON_UNDER_EXPOSED = 4,
  EFIQA_REASON_OVER_EXPOSED = 5, /* with glare and reflexes */
  EFIQA_REASON_DEFOCUS = 6,
  EFIQA_REASON_HAZE = 7,      /* cloudy media, low contrast */
  EFIQA_REASON_OCCLUSION = 8, /* a lid, lashes, a shadow at the edge */
  EFIQA_REASON_FIELD_CUT = 9, /* part of the field lies outside the frame; of the picture alone */
  /* Not a main_reason: a picture is rejected because it does not show the optic disc. */
  EFIQA_REASON_OFF_CENTRE = 10
};

#define EFIQA_REASON_STRENGTHS 6

/* What the operator can do. */
enum {
  EFIQA_REMEDY_NONE = 0,
  EFIQA_REMEDY_REFOCUS = 1,
  EFIQA_REMEDY_MORE_LIGHT = 2,
  EFIQA_REMEDY_LESS_LIGHT = 3,
  EFIQA_REMEDY_RECENTRE = 4, /* with the clock hour at which the defect lies, or the field is cut */
  EFIQA_REMEDY_OPEN_LID = 5,
  EFIQA_REMEDY_CLEAN_LENS = 6,
  EFIQA_REMEDY_DILATE_OR_ACCEPT = 7, /* the eye's own media may be cloudy */
  EFIQA_REMEDY_FIND_RETINA = 8
};

enum {
  EFIQA_SHAPE_NONE = 0,
  EFIQA_SHAPE_CIRCLE = 1,   /* a dark border around a circle, which straight edges may cut */
  EFIQA_SHAPE_RECTANGLE = 2 /* the retina fills the frame, or a box in it */
};

enum {
  EFIQA_FORMAT_RGB8 = 0,
  EFIQA_FORMAT_BGR8 = 1,
  EFIQA_FORMAT_GRAY8 = 2,
  EFIQA_FORMAT_RGBA8 = 3, /* the fourth byte is ignored */
  EFIQA_FORMAT_NV12 = 4, /* a plane of Y, and one of U and V at half the size; even width, height */
  EFIQA_FORMAT_YUYV = 5  /* Y0 U Y1 V for two pixels; even width */
};

enum { EFIQA_MATRIX_BT601 = 0, EFIQA_MATRIX_BT709 = 1 }; /* of NV12 and YUYV */
enum { EFIQA_RANGE_LIMITED = 0, EFIQA_RANGE_FULL = 1 };  /* Y 16..235 or 0..255 */
enum { EFIQA_MEMORY_HOST = 0, EFIQA_MEMORY_DEVICE = 1 }; /* device: of the engine */
enum { EFIQA_BACKEND_AUTO = 0, EFIQA_BACKEND_OPENVINO = 1, EFIQA_BACKEND_TENSORRT = 2 };
enum {
  EFIQA_COLORMAP_TURBO = 0,
  EFIQA_COLORMAP_INFERNO = 1,
  EFIQA_COLORMAP_VIRIDIS = 2,
  EFIQA_COLORMAP_RED = 3
};

/* Of a live capture gate. */
enum {
  EFIQA_GATE_NO_EYE = 0,     /* no field of view for longer than a blink */
  EFIQA_GATE_SEARCHING = 1,  /* something is to be changed first, see guidance */
  EFIQA_GATE_HOLD_STILL = 2, /* good so far; it must stay so */
  EFIQA_GATE_READY = 3,      /* stable: a photograph may be taken now */
  EFIQA_GATE_CAPTURED = 4    /* the best frame is in buffer best_slot; stays until a reset */
};

enum {
  EFIQA_GUIDANCE_NONE = 0,
  EFIQA_GUIDANCE_NO_EYE = 1,
  EFIQA_GUIDANCE_CENTRE_EYE = 2, /* with the clock hour at which the eye lies */
  EFIQA_GUIDANCE_MOVE_CLOSER = 3,
  EFIQA_GUIDANCE_MOVE_BACK = 4,
  EFIQA_GUIDANCE_TOO_DARK = 5,
  EFIQA_GUIDANCE_TOO_BRIGHT = 6,
  EFIQA_GUIDANCE_OUT_OF_FOCUS = 7,
  EFIQA_GUIDANCE_HAZE = 8,
  EFIQA_GUIDANCE_EYELID = 9,
  EFIQA_GUIDANCE_LOW_QUALITY = 10, /* the score is too low, and no measure says why */
  EFIQA_GUIDANCE_KEEP_OPEN = 11,
  EFIQA_GUIDANCE_HOLD_STILL = 12,
  EFIQA_GUIDANCE_TAKE_PICTURE = 13,
  EFIQA_GUIDANCE_DONE = 14,
  EFIQA_GUIDANCE_NOT_ASSESSED = 15 /* the frame was refused, or the engine failed */
};

#define EFIQA_GATE_SLOTS 2 /* buffers of one frame each that the caller keeps for a gate */

typedef struct efiqa_runtime efiqa_runtime; /* one opened model, its threads and its buffers */

typedef struct efiqa_options {
  uint32_t struct_size;
  int32_t backend;             /* EFIQA_BACKEND_ */
  int32_t threads;             /* 1 to 256; 0: one per core this process may use, at most 4 */
  int32_t deadline_ms;         /* 1 to 60000; 0: none */
  int32_t allow_untrained;     /* 1 opens a model with random weights, for tests and timing */
  int32_t reserved;            /* 0 */
  const char* model_path;      /* ONNX file with its contract beside it; NULL: the embedded model */
  const char* operating_point; /* a name of the contract; NULL: the contract's default */
  const uint8_t*
      trusted_keys;          /* Ed25519 public keys, 32 bytes each, one after the other. When there
                                are any, a model opens only with a signature by one of them */
  int32_t trusted_key_count; /* 0 to 64 */
  int32_t require_signature; /* 1 makes it an error to give no key */
} efiqa_options;

typedef struct efiqa_frame {
  uint32_t struct_size;
  int32_t format;              /* EFIQA_FORMAT_ */
  int32_t width_px, height_px; /* 64 to 8192 */
  const uint8_t* data;         /* first byte of the top row; of NV12 the plane of Y */
  size_t data_size_bytes; /* that may be read from data on; a frame that needs more is refused */
  ptrdiff_t row_stride_bytes; /* from row to row, at least a row of pixels */
  const uint8_t* uv_data;     /* NV12: first byte of the plane of U and V; else ignored */
  size_t uv_size_bytes;
  ptrdiff_t uv_stride_bytes;
  int32_t matrix;   /* EFIQA_MATRIX_, of NV12 and YUYV; else ignored */
  int32_t range;    /* EFIQA_RANGE_, likewise */
  int32_t memory;   /* EFIQA_MEMORY_; device memory where the library was built with CUDA */
  int32_t reserved; /* 0 */
  void* stream;     /* device memory: the cudaStream_t that makes the frame; else NULL */
} efiqa_frame;

/* Coordinates are continuous frame pixels: pixel (i, j) covers [i, i+1) x [j, j+1). */
typedef struct efiqa_report {
  uint32_t struct_size;
  int32_t status;    /* what the call returned */
  int32_t verdict;   /* EFIQA_VERDICT_; unknown whenever status is not EFIQA_STATUS_OK */
  int32_t reason;    /* EFIQA_REASON_ */
  float score;       /* share of the field of view, 0..1, where anatomy can be expected to be seen;
                        NaN when the verdict is unknown */
  int32_t fov_shape; /* EFIQA_SHAPE_ */
  float fov_center_x_px, fov_center_y_px, fov_radius_px;
  float fov_left_px, fov_top_px, fov_right_px, fov_bottom_px; /* straight edges that cut it */
  float fov_visible_area_px;
  float fov_cut_fraction; /* 1 - visible area / area of the circle */
  int32_t frame_width_px, frame_height_px;
  int32_t crop_x_px, crop_y_px, crop_side_px; /* the square that the map covers */
  int32_t grid_width, grid_height;            /* of map, weights, macula and optic_disc */
  int32_t region_count;                       /* see efiqa_region_read */
  float fov_ms, preprocess_ms, engine_ms, postprocess_ms, total_ms; /* where the time went */
  /* Both grid_height rows of grid_width. The runtime's, valid until its next assess or close; NULL
   * when the call failed. Macula and disc, at the end, likewise. */
  const float* map;     /* probability that anatomy is NOT visible; NaN where the weight is 0 */
  const float* weights; /* share of the cell inside the field of view, 0..1 */
  /* What answered: texts of the runtime, valid until it is closed. NULL without a runtime. */
  const char* model_id;
  const char* model_sha256;
  const char* contract_sha256;
  /* Why anatomy is hidden in this picture, and what helps. */
  /* EFIQA_REASON_: the strongest one that reaches the model's limit; where none does and the
   * verdict is not good, that of the largest bad region with one. */
  int32_t main_reason;
  int32_t remedy;          /* EFIQA_REMEDY_; none when the verdict is good */
  float remedy_clock_hour; /* of EFIQA_REMEDY_RECENTRE: (0, 12], 12 = up, 3 = right; else 0 */
  /* Share of the anatomy that each reason hides, 0..1; NaN where the model does not say. */
  float reason_strengths[EFIQA_REASON_STRENGTHS];
  float not_a_fundus; /* probability; NaN where the model does not say */
  /* As map: probability that the cell lies within one disc diameter of the fovea, seen or hidden;
   * NaN where the weight is 0. NULL where the model does not say. */
  const float* macula;
  const float* optic_disc; /* likewise, within one disc diameter of the optic disc's centre */
} efiqa_report;

/* A connected group of grid cells where anatomy is probably not visible. */
typedef struct efiqa_region {
  uint32_t struct_size;
  float x_px, y_px, width_px, height_px; /* box in frame pixels, within the frame */
  float area_share;                      /* of the visible field of view, 0..1 */
  float mean_probability;
  float clock_hour;      /* (0, 12], 12 = up, 3 = right in the frame; 0 when at the centre */
  float center_distance; /* 0 = centre of the field, 1 = its rim */
  /* As in the report, of this region; its field_cut is 0. */
  int32_t main_reason;
  int32_t remedy;
  float remedy_clock_hour;
  float reason_strengths[EFIQA_REASON_STRENGTHS];
} efiqa_region;

typedef struct efiqa_info {
  uint32_t struct_size;
  int32_t threads;
  int32_t deadline_ms;                     /* 0: none */
  int32_t input_width_px, input_height_px; /* what the network sees */
  int32_t grid_width, grid_height;
  float good_min_score, usable_min_score; /* the limits behind the verdict */
  int32_t reserved;
  /* Texts of the runtime, valid until it is closed. */
  const char* model_id;
  const char* model_sha256; /* lower-case hexadecimal */
  const char* contract_sha256;
  const char* engine; /* "OpenVINO 2026.4.0 CPU f32, 2 threads" */
  const char* operating_point;
  const char* signed_by; /* id of the trusted key that signed the model; "": no key was given */
} efiqa_info;

typedef struct efiqa_overlay {
  uint32_t struct_size;
  int32_t colormap; /* EFIQA_COLORMAP_ */
  float max_alpha;  /* opacity at probability 1, up to 1, falling to 0 at probability 0; 0: 0.6 */
  int32_t reserved;
} efiqa_overlay;

typedef struct efiqa_gate efiqa_gate; /* a live capture gate over successive previews */

/* Here 0 is not the default: EFIQA_INIT, then efiqa_gate_params_init, then your changes. In
 * brackets the range and the default. Shares of the radius are of the field of view's own. */
typedef struct efiqa_gate_params {
  uint32_t struct_size;
  float min_score;         /* [0.01..1] of a good frame; 0: the operating point's limit of `good` */
  int32_t min_stable_ms;   /* [100..60000, 500] of good time before ready */
  int32_t burst_ms;        /* [0..60000, 300] of good time after that before captured */
  int32_t min_good_frames; /* [3..10000, 5] before ready */
  int32_t max_gap_ms;      /* [10..10000, 300] a longer pause of the stream starts over */
  int32_t blink_ms;        /* [0..2000, 400] so long a drop is waited out */
  int32_t max_blinks;      /* [0..100, 1] drops that are waited out in a row of good frames */
  int32_t guidance_ms;     /* [0..5000, 400] guidance stands so long before it may change */
  float hysteresis;        /* [0..0.5, 0.15] limits widen by this share once frames were good */
  float max_speed;         /* [0.01..100, 0.5] radii a second */
  float max_offset;        /* [0.01..10, 0.35] radii between the field's centre and the frame's */
  float min_field;         /* [0..2, 0.5] diameter of the field over the frame's shorter side */
  float max_field;         /* [0.1..10, 1.6] likewise, of circles */
  /* Limits of the decision's measures; 0 switches a least value off, 1 a greatest. */
  float min_level;     /* [0..1, 0.13] */
  float max_green;     /* [0..1, 0.80] */
  float max_saturated; /* [0..1, 0.10] */
  float min_sharpness; /* [0..1, 0.36] */
  float min_contrast;  /* [0..1, 0.025] */
  float max_lid;       /* [0..1, 0.40] */
} efiqa_gate_params;

typedef struct efiqa_decision {
  uint32_t struct_size;
  int32_t status;      /* what the call returned */
  int32_t state;       /* EFIQA_GATE_; never ready or captured when status is not EFIQA_STATUS_OK */
  int32_t guidance;    /* EFIQA_GUIDANCE_ */
  float clock_hour;    /* of "centre the eye": (0, 12], 12 = up, 3 = right in the frame; else 0 */
  float progress;      /* 0..1; 1 exactly when captured */
  float speed;         /* radii a second; NaN without an earlier field to compare with */
  int32_t keep_slot;   /* 0 or 1: copy this frame's pixels into that buffer; -1: no need */
  int32_t best_slot;   /* which buffer holds the best frame so far; -1: none yet */
  float best_score;    /* NaN: none yet */
  int64_t frame_index; /* of this frame, from 0 since open or reset */
  int64_t best_frame_index; /* -1: none yet */
  int64_t best_timestamp_ms;
  /* Of this frame within its field of view; NaN where it could not be measured. */
  float level;           /* mean luma, 0..1 of full scale */
  float green;           /* mean green, 0..1 of full scale */
  float saturated_share; /* of the pixels */
  float sharpness;       /* fine detail over coarser detail; about 0.25 when out of focus */
  float contrast;        /* of coarse detail, over the mean; what haze takes away */
  float lid_share;       /* how much darker top or bottom is than the sides, 0..1 */
} efiqa_decision;

/* EFIQA_ABI_VERSION of the library; a program may compare it with the header's. */
EFIQA_API int32_t efiqa_abi_version(void);
/* "0.1.0". Static, never NULL, as the other names. */
EFIQA_API const char* efiqa_library_version(void);
/* "invalid_frame", ...; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_status_name(int32_t status);
/* "unknown", "reject", "usable", "good"; "unknown" for a number outside the list. */
EFIQA_API const char* efiqa_verdict_name(int32_t verdict);
/* "", "no_field_of_view", "defocus", ...; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_reason_name(int32_t reason);
/* "", "refocus", "more_light", ...; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_remedy_name(int32_t remedy);
/* One short English sentence for people; "" for none and for a number outside the list. */
EFIQA_API const char* efiqa_remedy_text(int32_t remedy, float clock_hour);
/* "none", "circle", "rectangle"; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_shape_name(int32_t shape);

/* Opens a model. Blocks for as long as that takes (0.1 s to seconds). `options` may be NULL: all
 * defaults; its strings are copied. On success *runtime is the caller's, to be closed; on failure
 * it is NULL. `runtime` must not be NULL. */
EFIQA_API int32_t efiqa_runtime_open(const efiqa_options* options, efiqa_runtime** runtime,
                                     char* message, size_t message_size);

/* Ends the runtime, frees all it owns and sets *runtime to NULL, so that closing again does
 * nothing, as does NULL. Blocks until its threads have ended. Returns EFIQA_STATUS_WRONG_THREAD,
 * and closes nothing, while another thread is inside. */
EFIQA_API int32_t efiqa_runtime_close(efiqa_runtime** runtime);

/* What was opened. Never blocks. Nothing may be NULL. */
EFIQA_API int32_t efiqa_runtime_describe(const efiqa_runtime* runtime, efiqa_info* info);

/* Assesses one frame. Blocks until *report is complete, or until the deadline. No heap allocation
 * by this library on success, once a frame of that size has been assessed. Nothing but `message`
 * may be NULL. On failure the report says EFIQA_VERDICT_UNKNOWN and NaN, and the runtime stays
 * usable. */
EFIQA_API int32_t efiqa_runtime_assess(efiqa_runtime* runtime, const efiqa_frame* frame,
                                       efiqa_report* report, char* message, size_t message_size);

/* Copies region `index` (0 to report.region_count - 1, largest first) of the last assessed frame.
 * Never blocks. Nothing may be NULL. Another index is EFIQA_STATUS_INVALID_ARGUMENT. */
EFIQA_API int32_t efiqa_region_read(efiqa_runtime* runtime, int32_t index, efiqa_region* region);

/* Draws the last report's map over its frame, which is passed again: RGB8 of the frame's size into
 * out[0 .. out_size_bytes), rows of out_stride_bytes. Blocks until that is done; allocates nothing
 * on success. Only `overlay` (all defaults) and `message` may be NULL. */
EFIQA_API int32_t efiqa_overlay_render(efiqa_runtime* runtime, const efiqa_frame* frame,
                                       const efiqa_overlay* overlay, uint8_t* out,
                                       size_t out_size_bytes, ptrdiff_t out_stride_bytes,
                                       char* message, size_t message_size);

/* A live capture gate. It answers hold, move, ready, captured to each preview, and finds the best
 * frame of a stable run. It has no clock: timestamp_ms is yours. Use, once for each preview:
 *
 *   efiqa_gate_update(gate, runtime, &frame, now_ms, &report, &decision, message, sizeof message);
 *   if (decision.keep_slot >= 0) memcpy(kept[decision.keep_slot], frame.data, frame_bytes);
 *   if (decision.state == EFIQA_GATE_CAPTURED) take(kept[decision.best_slot]);
 *   show(efiqa_guidance_text(decision.guidance, decision.clock_hour));
 *
 * A gate belongs to one thread at a time, as a runtime does. */

/* Fills all but struct_size, which EFIQA_INIT has set, with the defaults. Not NULL. */
EFIQA_API int32_t efiqa_gate_params_init(efiqa_gate_params* params);

/* Opens a gate. `params` may be NULL: all defaults. `runtime` says what `good` is where
 * params.min_score is 0, and is not kept; it may be NULL otherwise. On success *gate is the
 * caller's, to be closed; on failure it is NULL. `gate` must not be NULL. Never blocks. */
EFIQA_API int32_t efiqa_gate_open(const efiqa_runtime* runtime, const efiqa_gate_params* params,
                                  efiqa_gate** gate, char* message, size_t message_size);

/* Frees the gate and sets *gate to NULL; NULL and closing again are fine. */
EFIQA_API int32_t efiqa_gate_close(efiqa_gate** gate);

/* Assesses one preview and moves the gate. Blocks as efiqa_runtime_assess does, and allocates as
 * little. timestamp_ms is when the frame was exposed, and must grow from call to call; where it
 * does not, the call fails with EFIQA_STATUS_INVALID_ARGUMENT and the run starts over. A frame that
 * cannot be assessed never counts as good. `report` and `message` may be NULL. */
EFIQA_API int32_t efiqa_gate_update(efiqa_gate* gate, efiqa_runtime* runtime,
                                    const efiqa_frame* frame, int64_t timestamp_ms,
                                    efiqa_report* report, efiqa_decision* decision, char* message,
                                    size_t message_size);

/* Back to the beginning, for the next photograph or another clock. Not NULL. */
EFIQA_API int32_t efiqa_gate_reset(efiqa_gate* gate);

/* "no_eye", "searching", "hold_still", "ready", "captured"; else "unrecognised". Static, as the
 * other two. */
EFIQA_API const char* efiqa_gate_state_name(int32_t state);
/* "centre_eye", "too_dark", ...; "" for none; else "unrecognised". */
EFIQA_API const char* efiqa_guidance_name(int32_t guidance);
/* One short English sentence for people; "" for a number outside the list. */
EFIQA_API const char* efiqa_guidance_text(int32_t guidance, float clock_hour);

#ifdef __cplusplus
}
#endif

#endif /* EFIQA_EFIQA_H_ */
