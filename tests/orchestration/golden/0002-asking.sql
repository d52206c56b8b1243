BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE decisions (
	seq INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	"by" VARCHAR NOT NULL, 
	act VARCHAR NOT NULL, 
	run VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	batch VARCHAR, 
	undoes INTEGER, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "decisions" VALUES(1,1.795814118083530426e+09,'anna','approve','a7d22d129ba8','desk','{"flow":"golden","node":"desk","role":"","asked":1795814117.9371886,"digest":"94d1eb2e907fef2f20c534ebc0999f8ef74a9f8d82b7624532b68d9f32cc6fa1","proposed":null,"field":null,"seconds":2.0,"blind":false,"first":null}',NULL,NULL,'2c5c2d1baad8135ab5b522267db3f2dba628e43edad0a6406cc488d74441775f');
INSERT INTO "decisions" VALUES(2,1.79581411812769532201e+09,'anna','undo','a7d22d129ba8','desk','{"undoes":1}',NULL,1,'0b0ca606bb1d11a630e37033f91eb6c3208d7c0926956ee10c582e4b7bab357f');
INSERT INTO "decisions" VALUES(3,1.79581411815822315214e+09,'anna','edit','a7d22d129ba8','desk','{"flow":"golden","node":"desk","role":"","asked":1795814117.9371886,"digest":"94d1eb2e907fef2f20c534ebc0999f8ef74a9f8d82b7624532b68d9f32cc6fa1","proposed":null,"field":null,"type":"Answer","fields":{"text":"NEW"},"before":{"text":"OLD"},"seconds":2.0,"blind":false,"first":null}',NULL,NULL,'314f3ad84bd4c31fabd9d2ebd96f9c2654c65cca04a67a1a7c7bb0a57abefdd3');
CREATE TABLE definitions (
	digest VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "definitions" VALUES('a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58','{"flow":"golden","takes":"Question","gives":"Answer","nodes":{"think":{"is":"a function","takes":"Question","gives":"Answer"},"desk":{"is":"a Review","takes":"Answer","gives":"Answer","review":{"approves_to":"Answer","gives":["Answer"],"label_field":null,"labels":[],"codes":{"facts":"what it says is not so","evidence":"what it rests on does not say it","tone":"it should be said in another way","policy":"it must not be said or done","other":"something else is wrong with it"},"causes":["''print_it'' goes on with it"],"approvals":1,"grace":10.0,"blind":0.05,"checks":0.0,"author_may_decide":true}},"print_it":{"is":"a function","takes":"Answer","gives":"Answer"}},"edges":["edge desk -> print_it","edge think -> desk"],"starts":["think"],"ends":["print_it"],"types":{"Question":1,"Answer":1,"Failure":1,"Rejection":1},"schemas":{"Question":{"additionalProperties":false,"properties":{"text":{"title":"Text","type":"string"}},"required":["text"],"title":"Question","type":"object"},"Answer":{"additionalProperties":false,"properties":{"text":{"title":"Text","type":"string"}},"required":["text"],"title":"Answer","type":"object"},"Failure":{"additionalProperties":false,"description":"What an error handler is told about a task that failed.","properties":{"node":{"title":"Node","type":"string"},"error":{"title":"Error","type":"string"},"reason":{"title":"Reason","type":"string"},"attempts":{"title":"Attempts","type":"integer"}},"required":["node","error","reason","attempts"],"title":"Failure","type":"object"},"Rejection":{"$defs":{"JsonValue":{}},"additionalProperties":false,"description":"An agent or a person declined to decide.\n\nA classifier with `abstain_below=` answers with it when it is too unsure; a reviewer answers with it to turn a\nproposal down. Name it in an output union to route it; where it is not named, declining fails the task.","properties":{"by":{"title":"By","type":"string"},"reason":{"title":"Reason","type":"string"},"proposal":{"additionalProperties":{"$ref":"#/$defs/JsonValue"},"default":{},"title":"Proposal","type":"object"}},"required":["by","reason"],"title":"Rejection","type":"object"}}}');
CREATE TABLE facts (
	run VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	task VARCHAR, 
	node VARCHAR, 
	body TEXT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (run, seq), 
	FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "facts" VALUES('a60a632fc384',1,'run-started',1.79581412821952080731e+09,NULL,NULL,'{"flow":"golden","message":{"$message":"1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017"},"thread":"t","key":"k","seed":0,"limit":null,"definition":"a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58","releases":{},"forked_from":null,"forked_before":null,"by":"otto"}','bcdde16a1a9d9339453b4898aef1d2bffc8da00b3a901da11d40faf25f29a32b');
INSERT INTO "facts" VALUES('a60a632fc384',2,'task-started',1.79581412821952080731e+09,'think','think','{"attempt":1,"inputs":[{"$message":"1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017"}],"given":{}}','bdc916054460a60bfc5d0a326e1dacb0cdd7e52dad0e19ffe8547dbe4744b535');
INSERT INTO "facts" VALUES('a60a632fc384',3,'task-finished',1.79581412823461437225e+09,'think','think','{"output":{"$message":"bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34"}}','98656689df2528d09619cdec927354908282357d56e56d2bc23ed14d250eba2a');
INSERT INTO "facts" VALUES('a60a632fc384',4,'review-requested',1.79581412823461437225e+09,'desk','desk','{"message":{"$message":"bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34"},"asking":{"why":["the flow wants a person to see it"],"rules":[],"risk":1.0,"doubt":null,"disagrees":false,"label":null,"deadline":null,"case":"gold"}}','11a08e29e8c696239c275dae6c68e54999583e87113ff782165115e494aea840');
INSERT INTO "facts" VALUES('a60a632fc384',5,'run-suspended',1.79581412824620842939e+09,NULL,NULL,'{}','18d798d29261ae4b84ebcf265dd83d31d934bdeb3c4b883a2aaf6a2afd0cbdbb');
INSERT INTO "facts" VALUES('a7d22d129ba8',1,'run-started',1.79581411792887091641e+09,NULL,NULL,'{"flow":"golden","message":{"$message":"b8a857e1906b32e0348916aaaaca69c97cb2851fe19241b0fd2805fe6fdd89d7"},"thread":"t","key":"decided","seed":0,"limit":null,"definition":"a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58","releases":{},"forked_from":null,"forked_before":null,"by":"otto"}','27b8068ad96655982f3ee190138be4dc29cc9479790f59d6a1eb9dffaf4c70be');
INSERT INTO "facts" VALUES('a7d22d129ba8',2,'task-started',1.79581411792887091641e+09,'think','think','{"attempt":1,"inputs":[{"$message":"b8a857e1906b32e0348916aaaaca69c97cb2851fe19241b0fd2805fe6fdd89d7"}],"given":{}}','bef0e86bd69b54033776a765973e241794a504f76c01d6579ecacf50b5bb94c6');
INSERT INTO "facts" VALUES('a7d22d129ba8',3,'task-finished',1.79581411793718862535e+09,'think','think','{"output":{"$message":"94d1eb2e907fef2f20c534ebc0999f8ef74a9f8d82b7624532b68d9f32cc6fa1"}}','127a64ef6cd28c8db20f633d09d477c1f7d5e19ee484cfe85345be2130c0c685');
INSERT INTO "facts" VALUES('a7d22d129ba8',4,'review-requested',1.79581411793718862535e+09,'desk','desk','{"message":{"$message":"94d1eb2e907fef2f20c534ebc0999f8ef74a9f8d82b7624532b68d9f32cc6fa1"},"asking":{"why":["the flow wants a person to see it"],"rules":[],"risk":1.0,"doubt":null,"disagrees":false,"label":null,"deadline":null,"case":"old"}}','399d9f901e83e75721e3cd3cb0b2d316d5964f8d4a5cb53b2fdacebd5697d96b');
INSERT INTO "facts" VALUES('a7d22d129ba8',5,'review-answered',1.79581412818685245513e+09,'desk','desk','{"answer":{"kind":"edit","by":"anna","message":{"$message":"200677ea8e82becb3f5174006020ed50c0062e309c53b3e0f5d6032c5dbd958b"}},"decision":3}','4b7c7021767192c3e6afe9dc41244e4e29b9136060c8e413f7c00e5c79b6df00');
INSERT INTO "facts" VALUES('a7d22d129ba8',6,'task-finished',1.79581412818686580656e+09,'desk','desk','{"output":{"$message":"200677ea8e82becb3f5174006020ed50c0062e309c53b3e0f5d6032c5dbd958b"}}','7de834c78b700b210b922b8fb5dcbc0987bd5160f3cf9a397fce8435a3fbc1a8');
INSERT INTO "facts" VALUES('a7d22d129ba8',7,'task-started',1.79581412818686580656e+09,'print_it','print_it','{"attempt":1,"inputs":[{"$message":"200677ea8e82becb3f5174006020ed50c0062e309c53b3e0f5d6032c5dbd958b"}],"given":{}}','08b0f5a17ee7997b1e939cd8034599bec3043a713585b332691731dc65c3e598');
INSERT INTO "facts" VALUES('a7d22d129ba8',8,'task-finished',1.79581412819512343409e+09,'print_it','print_it','{"output":{"$message":"200677ea8e82becb3f5174006020ed50c0062e309c53b3e0f5d6032c5dbd958b"}}','6c685f832d27c8e048834f0056469f84c06b4cf378f0f126e8ebe0351c6b77fd');
INSERT INTO "facts" VALUES('a7d22d129ba8',9,'run-finished',1.79581412819512343409e+09,NULL,NULL,'{"message":{"$message":"200677ea8e82becb3f5174006020ed50c0062e309c53b3e0f5d6032c5dbd958b"}}','ad1dac87fe5e17b6236d7bfe3946e2a2f73c7085d040d287f1bc9ef3e9362398');
CREATE TABLE messages (
	digest VARCHAR(64) NOT NULL, 
	kind VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	origin TEXT, 
	PRIMARY KEY (digest)
)
 WITHOUT ROWID

;
INSERT INTO "messages" VALUES('1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017','Question',1,'{"text":"gold"}',NULL);
INSERT INTO "messages" VALUES('200677ea8e82becb3f5174006020ed50c0062e309c53b3e0f5d6032c5dbd958b','Answer',1,'{"text":"NEW"}',NULL);
INSERT INTO "messages" VALUES('94d1eb2e907fef2f20c534ebc0999f8ef74a9f8d82b7624532b68d9f32cc6fa1','Answer',1,'{"text":"OLD"}',NULL);
INSERT INTO "messages" VALUES('b8a857e1906b32e0348916aaaaca69c97cb2851fe19241b0fd2805fe6fdd89d7','Question',1,'{"text":"old"}',NULL);
INSERT INTO "messages" VALUES('bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34','Answer',1,'{"text":"GOLD"}',NULL);
CREATE TABLE people (
	name VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	PRIMARY KEY (name, role)
);
CREATE TABLE pruned (
	run VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	head INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (run)
);
CREATE TABLE reviews (
	run VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	node VARCHAR NOT NULL, 
	thread VARCHAR, 
	author VARCHAR, 
	definition VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	asked DOUBLE NOT NULL, 
	deadline DOUBLE, 
	asking TEXT NOT NULL, 
	proposed VARCHAR, 
	risk DOUBLE NOT NULL, 
	doubt DOUBLE, 
	agrees INTEGER NOT NULL, 
	urgency DOUBLE NOT NULL, 
	alike VARCHAR(16) NOT NULL, 
	text TEXT NOT NULL, 
	state VARCHAR NOT NULL, 
	decision INTEGER, 
	"by" VARCHAR, 
	label VARCHAR, 
	kept INTEGER, 
	release DOUBLE, 
	closed DOUBLE, 
	claimed VARCHAR, 
	claimed_until DOUBLE, 
	skipped INTEGER NOT NULL, 
	agreed TEXT NOT NULL, 
	notes TEXT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (run, task), 
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "reviews" VALUES('a7d22d129ba8','desk','golden','desk','t','otto','a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58','','94d1eb2e907fef2f20c534ebc0999f8ef74a9f8d82b7624532b68d9f32cc6fa1',1.79581411793718862535e+09,NULL,'{"why":["the flow wants a person to see it"],"rules":[],"case":"old","deadline":null}',NULL,1.0,NULL,1,1.0,'2c67e8b88a4697de','old old','closed',3,'anna','Answer',0,1.79581412815822315221e+09,1.79581412817811656001e+09,NULL,NULL,0,'[["anna","[\"edit\", {\"fields\": {\"text\": \"NEW\"}, \"type\": \"Answer\"}]"]]','[]','e26f8c67bf9f49b445d43c10bae3a8c421454438603a641b0f0a26238f854cfe');
INSERT INTO "reviews" VALUES('a60a632fc384','desk','golden','desk','t','otto','a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58','','bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34',1.79581412823461437225e+09,NULL,'{"why":["the flow wants a person to see it"],"rules":[],"case":"gold","deadline":null}',NULL,1.0,NULL,1,1.0,'19aab0b5835647e6','gold gold','open',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'[]','[]','d9e7496cfe35bf1da3cd58aad500ce290982d3e9269090adf3b25a5208ff14c9');
CREATE TABLE runs (
	id VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	thread VARCHAR, 
	"key" VARCHAR, 
	state VARCHAR NOT NULL, 
	asked INTEGER NOT NULL, 
	started DOUBLE NOT NULL, 
	updated DOUBLE NOT NULL, 
	definition VARCHAR NOT NULL, 
	forked_from VARCHAR, 
	head INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	fence INTEGER NOT NULL, 
	worker VARCHAR, author VARCHAR, 
	PRIMARY KEY (id), 
	CONSTRAINT runs_flow_key UNIQUE (flow, "key")
);
INSERT INTO "runs" VALUES('a7d22d129ba8','golden','t','decided','finished',0,1.79581411792887091641e+09,1.79581412819512343409e+09,'a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58',NULL,9,'ad1dac87fe5e17b6236d7bfe3946e2a2f73c7085d040d287f1bc9ef3e9362398',1,NULL,'otto');
INSERT INTO "runs" VALUES('a60a632fc384','golden','t','k','running',1,1.79581412821952080731e+09,1.79581412824620842939e+09,'a705eb6934cc34c56e292775cc93808e72e6f2258a4cdf60c1a642729fcb1a58',NULL,5,'18d798d29261ae4b84ebcf265dd83d31d934bdeb3c4b883a2aaf6a2afd0cbdbb',1,'ef6d7a02f3fb4272','otto');
CREATE TABLE workers (
	id VARCHAR NOT NULL, 
	place VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX runs_flow_state ON runs (flow, state);
CREATE INDEX runs_thread ON runs (thread);
CREATE INDEX reviews_queue ON reviews (state, urgency DESC, agrees, asked, node, role, thread, deadline);
CREATE INDEX reviews_flow_queue ON reviews (flow, state, urgency DESC, agrees, asked, deadline);
CREATE INDEX reviews_alike ON reviews (alike, state, urgency DESC, agrees, asked, deadline);
CREATE INDEX reviews_release ON reviews (state, release);
CREATE INDEX reviews_claimed ON reviews (claimed, claimed_until) WHERE claimed IS NOT NULL;
CREATE INDEX reviews_role ON reviews (role, doubt, kept) WHERE kept IS NOT NULL;
CREATE INDEX reviews_decided ON reviews (flow, node, decision DESC) WHERE decision IS NOT NULL;
CREATE INDEX decisions_place ON decisions (run, task);
CREATE INDEX decisions_by ON decisions ("by", seq);
COMMIT;
